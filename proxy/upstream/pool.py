"""Connections to one origin that wait for their next request."""

import asyncio

from proxy.upstream.connection import Connection
from proxy.upstream.dial import Dialer

# Below the idle time of every known provider's front end, so that they rarely close a connection we are about to use.
_KEEPALIVE_S = 15.0


class Pool:
    """Hands out connections, the one that rested last first, so that those not needed grow old and are closed.

    Args:
        dialer: opens what isn't there.
    """

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._resting: list[Connection] = []
        self._busy: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def acquire(self, limit_s: float) -> Connection:
        """A connection ready for a request, new if need be; raises `BrokenError` if there is none within `limit_s`."""
        connection = self._latest() or await self._dialer.open(limit_s)
        self._busy.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back; it is closed unless its exchange came to a clean end."""
        if not connection.is_reusable:
            self.drop(connection)
            return
        self._busy.discard(connection)
        connection.rest()
        self._resting.append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_KEEPALIVE_S, self._close_old)

    def drop(self, connection: Connection) -> None:
        """Close a connection instead of taking it back."""
        self._busy.discard(connection)
        connection.close()

    def close(self) -> None:
        """Close every connection, also those in use."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in (*self._resting, *self._busy):
            connection.close()

    def _latest(self) -> Connection | None:
        while self._resting:
            connection = self._resting.pop()
            if connection.is_reusable:
                return connection
        return None

    def _close_old(self) -> None:
        """Close what has rested for too long, and come back for the rest."""
        loop = asyncio.get_running_loop()
        young = loop.time() - _KEEPALIVE_S
        kept = []
        for connection in self._resting:
            if connection.idle_since > young and connection.is_reusable:
                kept.append(connection)
            else:
                connection.close()
        self._resting = kept
        self._sweep = loop.call_at(kept[0].idle_since + _KEEPALIVE_S, self._close_old) if kept else None
