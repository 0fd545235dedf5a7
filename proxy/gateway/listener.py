"""Listening: where clients' connections come from, and how they end."""

import asyncio
import socket
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from proxy.config import Address, Current
from proxy.gateway.connection import ClientConnection
from proxy.gateway.connections import Connections, Handler
from proxy.gateway.newcomers import turn_away

_BACKLOG = 1024
# From an accepted connection to `connection_made`: asyncio's own loop makes a task, that a transport, and that a call.
_TURNS_TO_ACCEPT = 3
# How long those may take to get connected who had begun to before a process listens no more and another one does.
_HANDSHAKE_S = 0.05


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
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._connections = Connections(self._handle, self._current)
        with ExitStack() as undone:
            undone.callback(self._close)
            for family, kind, protocol, _, where in await loop.getaddrinfo(
                self.address.host, self.address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                listening = socket.socket(family, kind, protocol)
                self._sockets.append(listening)
                # A free port that was found for the first address is that of all.
                self._bind(listening, (where[0], self.address.port, *where[2:]))
                self.address = Address(self.address.host, listening.getsockname()[1])
            for listening in self._sockets:
                # The loop closes what it accepts from before what waits has been accepted: hence two of each.
                self._servers.append(await loop.create_server(self._connection, sock=listening.dup(), backlog=_BACKLOG))
            undone.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        await self._connections.close()

    async def drain(self) -> None:
        """Accept no more connections, and wait until those that there are have ended, each behind a last answer.

        One that waits to be accepted is: its client has been told already that it is connected.
        """
        self._connections.begin_to_stop()
        if self._current.settings.server.reuse_port and all(map(turn_away, self._sockets)):
            await asyncio.sleep(_HANDSHAKE_S)
        for server in self._servers:
            server.close()
        loop = asyncio.get_running_loop()
        waiting = [accepted for listening in self._sockets for accepted in _waiting(listening)]
        self._close()
        for accepted in waiting:
            await loop.connect_accepted_socket(self._connection, accepted)
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        await self._connections.ended()

    def _bind(self, listening: socket.socket, where: tuple[object, ...]) -> None:
        listening.setblocking(False)  # noqa: FBT003 - socket's own
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What is accepted inherits it, by whichever way it comes to the loop.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._current.settings.server.reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if listening.family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listening.bind(where)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} ({self.address})") from error

    def _connection(self) -> ClientConnection:
        return ClientConnection(self._connections)

    def _close(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.close()
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()


def _waiting(listening: socket.socket) -> list[socket.socket]:
    """The connections that the system has made and nobody has accepted.

    The queue is not shortened before: who is about to be added to a full one is reset, and thinks to be connected.
    """
    found: list[socket.socket] = []
    while True:
        try:
            accepted, _ = listening.accept()
        except OSError:
            return found
        accepted.setblocking(False)  # noqa: FBT003 - socket's own
        found.append(accepted)
