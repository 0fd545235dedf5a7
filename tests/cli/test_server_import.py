"""What `serve` spares itself while it starts is there where it is needed."""

import gc
import os
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
import trustme

from proxy.cli.server_import import importing_a_server

IMPORT = """
from proxy.cli import main
from proxy.cli.server_import import importing_a_server
with importing_a_server():
    import proxy.app
import ssl
from aiohttp.connector import _SSL_CONTEXT_VERIFIED as theirs
print(theirs.cert_store_stats()["x509_ca"], ssl.create_default_context().cert_store_stats()["x509_ca"])
"""


@pytest.mark.parametrize("before", [None, "/some/authorities.pem"])
def test_all_is_as_it_was_afterwards(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the import fails."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if before is not None:
        monkeypatch.setenv("SSL_CERT_FILE", before)
    with pytest.raises(ImportError), importing_a_server():
        raise ImportError
    gc.unfreeze()

    assert os.environ.get("SSL_CERT_FILE") == before
    assert gc.isenabled()


async def test_authorities_are_not_read_by_the_import(tmp_path: Path) -> None:
    """A client that nobody uses has none; who asks for them afterwards gets them."""
    authority = tmp_path / "authority.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    environ = {**os.environ, "SSL_CERT_FILE": str(authority), "SSL_CERT_DIR": "/nowhere"}
    process = await create_subprocess_exec(sys.executable, "-c", IMPORT, stdout=PIPE, env=environ)
    out, _ = await process.communicate()

    assert out.split() == [b"0", b"1"]


async def test_a_start_imports_no_other_command() -> None:
    """They are imported once they are asked for."""
    said = "import sys; from proxy.cli import main; print(*(name for name in sys.modules if 'proxy.cli.' in name))"
    process = await create_subprocess_exec(sys.executable, "-c", said, stdout=PIPE)
    out, _ = await process.communicate()

    assert {b"proxy.cli.commands", b"proxy.cli.settings"} <= {*out.split()}
    assert not {b"proxy.cli.routes", b"proxy.cli.check", b"proxy.cli.status"} & {*out.split()}
