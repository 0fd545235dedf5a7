"""An upstream of TLS: nginx in front of the mock, on the load's core, with a certificate made for the run."""

from pathlib import Path

import trustme

from benchmarks.chat import Request
from benchmarks.peers import nginx_command
from benchmarks.server import Server, free_port


class TlsFront(Server):
    """A context manager in which TLS is ended in front of the upstream at `upstream_port`.

    Attributes:
        tls_port: where TLS is spoken.
        authority: the file of the certificate that its own is signed by.
    """

    def __init__(self, upstream_port: int, core: int, directory: Path) -> None:
        home = directory / "tls-front"
        home.mkdir(exist_ok=True)
        authority = trustme.CA()
        own = authority.issue_cert("localhost", "127.0.0.1")
        self.authority = home / "authority.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        own.private_key_pem.write_to_path(str(home / "key.pem"))
        (home / "certificate.pem").write_bytes(b"".join(blob.bytes() for blob in own.cert_chain_pems))
        port, self.tls_port = free_port(), free_port()
        command = nginx_command(
            "tls_front.conf",
            home,
            port=port,
            tls_port=self.tls_port,
            upstream_port=upstream_port,
            certificate=home / "certificate.pem",
            key=home / "key.pem",
        )
        ready = Request("/__stats")
        super().__init__(command, port=port, core=core, ready=ready, log=directory / "tls-front.log")
