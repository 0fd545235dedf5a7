"""The connections of one listener, and how they all end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from proxy.config import Current
from proxy.gateway.request import Request
from proxy.gateway.response import Response
from proxy.outbox import Outbox

if TYPE_CHECKING:
    from proxy.gateway.connection import ClientConnection

# A connection without a request under way; a head that drips in longer than this is cut as well.
_KEEPALIVE_S = 75.0

Handler = Callable[[Request, Response], Awaitable[None]]


class Connections:
    """The connections of one listener, and what they have in common.

    Args:
        handle: answers a request.
        current: the settings in force: how long a client may go without taking anything of its answer.

    Attributes:
        open: every connection.
        outbox: what is written to them.
        is_stopping: whether each connection ends with its next answer.
    """

    def __init__(self, handle: Handler, current: Current) -> None:
        self.handle = handle
        self._current = current
        self.outbox = Outbox(asyncio.get_running_loop())
        self.is_stopping = False
        self.open: set[ClientConnection] = set()
        self._over = asyncio.Event()

    @property
    def client_idle_s(self) -> float:
        """How long a client may go without taking anything of its answer."""
        return self._current.settings.server.client_idle_s

    @property
    def rest_s(self) -> float:
        """How long a connection may be without a request."""
        return self._current.settings.server.shutdown_idle_s if self.is_stopping else _KEEPALIVE_S

    def begin_to_stop(self) -> None:
        """Let each connection end with the next answer whose head is still to come.

        A client that was told that it may ask again mostly does so at once, and would lose what it asks if its
        connection were closed: so those that rest are kept for a little while.
        """
        self.is_stopping = True
        for connection in list(self.open):
            connection.stop()

    async def ended(self) -> None:
        """Wait until there is no connection any more."""
        if self.open:
            await self._over.wait()

    def forget(self, connection: "ClientConnection") -> None:
        """Count a connection as ended."""
        self.open.discard(connection)
        if self.is_stopping and not self.open:
            self._over.set()

    async def close(self) -> None:
        """End every connection, whatever is under way on it, and wait until its task is over."""
        tasks = [task for connection in list(self.open) if (task := connection.abort()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
