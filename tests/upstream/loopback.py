"""A server on loopback that says nothing by itself, its certificate, and what tests wait for."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Self, cast

import trustme

from proxy.upstream.tls import tls_context


class Listener:
    """Accepts connections and keeps them.

    Attributes:
        port: where it listens.
        accepted: the connections, in the order in which they came.
        gone: gets the number of each that ended.
        received: what came on each.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._tls = tls
        self.port = port
        self.accepted: list[asyncio.Transport] = []
        self.received: list[bytes] = []
        self.gone = asyncio.Queue[int]()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Accepted(self), "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for transport in self.accepted:
            transport.abort()
        await self._server.wait_closed()


class _Accepted(asyncio.Protocol):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._number = len(self._listener.accepted)
        self._listener.accepted.append(cast("asyncio.Transport", transport))
        self._listener.received.append(b"")

    def data_received(self, data: bytes) -> None:
        self._listener.received[self._number] += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.gone.put_nowait(self._number)


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until something holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - none of these conditions has an event
            await asyncio.sleep(0)


def tls_pair(*names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS with a certificate for these names, and a client's that trusts its authority alone."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(server)
    with authority.cert_pem.tempfile() as bundle:
        return server, tls_context(bundle)


def unused_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
