"""Listening: where clients' connections come from, and how they end."""

import asyncio
from types import TracebackType
from typing import Self

from proxy.config import Address, Current
from proxy.gateway.connection import ClientConnection, Connections, Handler

_BACKLOG = 1024


class Listener:
    """Accepts connections at an address; an async context manager.

    Args:
        address: where to listen; port 0 takes a free one.
        handle: answers a request.
        current: the settings in force, of which the server's limits count here.

    Attributes:
        address: where it listens.

    Entering it raises `OSError` if the address can't be had.
    """

    def __init__(self, address: Address, handle: Handler, current: Current) -> None:
        self.address = address
        self._handle = handle
        self._current = current

    async def __aenter__(self) -> Self:
        self._connections = Connections(self._handle, self._current)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self._connections),
            self.address.host,
            self.address.port,
            backlog=_BACKLOG,
            reuse_address=True,
        )
        self.address = Address(self.address.host, self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._connections.close()

    async def drain(self) -> None:
        """Accept no more connections, end those that rest, and wait until no request is under way."""
        self._server.close()
        await self._connections.stop()
