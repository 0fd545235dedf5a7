"""The command that has a running proxy read its configuration anew."""

import json

from aiohttp import web
from click.testing import CliRunner

from proxy.admin import Reloaded
from proxy.cli import main
from proxy.config import Changes
from proxy.routing import DynamicRoutingTable
from tests.admin.conftest import admin_plane
from tests.cli.conftest import TOKEN, Run, serving


async def reloaded() -> Reloaded:
    """A reload that changed something."""
    return Reloaded(7, Changes(("new", "newer"), ("alpha",), ()), Changes(), ("server.listen",))


def test_it_says_what_changed(table: DynamicRoutingTable) -> None:
    """Names for people, the API's own answer for programs."""
    root = web.Application()
    root.add_subapp("/admin", admin_plane(table, TOKEN, reloaded))
    with serving(root) as url:
        plain, as_json = (
            CliRunner().invoke(main, ["reload", "--url", url, "--token", TOKEN, *options])
            for options in ([], ["--json"])
        )

    assert plain.stdout.splitlines() == [
        "Reloaded (revision 7).",
        "Providers: added new, newer; changed alpha",
        "Models: unchanged",
        "Only a restart changes: server.listen",
    ]
    assert json.loads(as_json.stdout)["providers"] == {"added": ["new", "newer"], "changed": ["alpha"], "removed": []}
    assert (plain.exit_code, as_json.exit_code) == (0, 0)


def test_it_prints_every_fault(run: Run) -> None:
    """A configuration that can't be used is status 1; what happened and each fault have a line of stderr."""
    result = run("reload")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "Error: The configuration can't be used, so nothing has changed. Faults: 1.",
        "here:3: models: this can't be read again",
    ]
