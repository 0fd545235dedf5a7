"""Connections to one origin: those that rest between two requests, how many there may be, and who waits for one.

What happens is decided without an await, in one place each, so that nothing can come in between: a connection that is
given back goes to the request that waits longest, and so does the place of one that is gone.
"""

import asyncio
from collections import deque
from functools import partial
from itertools import takewhile
from typing import Final

from proxy.config.settings import Limits
from proxy.upstream.broken import BrokenError, Phase
from proxy.upstream.connection import Connection
from proxy.upstream.dial import Dialer

# A request that crosses the server's closing of its connection on the way is lost, so ours has to come first. Servers
# that are asked over plain HTTP are seldom behind anything: uvicorn (vLLM, SGLang), Node.js, hypercorn and Apache close
# after 5 s. TLS, which makes a new connection dear, mostly ends at a front end: AWS's load balancer closes after 60 s,
# nginx after 75 s, Cloudflare after 400 s.
_PLAIN_KEEPALIVE_S: Final = 4.0
_TLS_KEEPALIVE_S: Final = 30.0

_USUAL_LIMITS: Final = Limits()


class BusyError(BrokenError):
    """All connections that the provider may have are in use, and nothing was sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, Phase.CONNECT)


class Pool:
    """Hands out connections, the one that rested last first, so that those not needed grow old and are closed.

    Args:
        dialer: opens what isn't there; it is closed with the pool.
        limits: how many there may be, how many requests may wait for one, and how long one may rest.
    """

    __slots__ = (
        "_busy",
        "_dialer",
        "_is_closed",
        "_is_retired",
        "_keepalive_s",
        "_limits",
        "_opening",
        "_resting",
        "_sweep",
        "_waiters",
    )

    def __init__(self, dialer: Dialer, limits: Limits = _USUAL_LIMITS) -> None:
        self._dialer = dialer
        self._limits = limits
        self._keepalive_s = limits.keepalive_s or (_TLS_KEEPALIVE_S if dialer.is_secure else _PLAIN_KEEPALIVE_S)
        self._busy: set[Connection] = set()
        # A dictionary, since it keeps the order and can still lose one from its middle at once.
        self._resting: dict[Connection, None] = {}
        self._opening = 0
        # Each gets a connection, or None: the place for one, which is then counted as being opened already.
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = self._is_retired = False

    # What metrics ask for.

    @property
    def open(self) -> int:
        """Connections that count towards the limit: busy, resting, or being opened."""
        return len(self._busy) + len(self._resting) + self._opening

    @property
    def busy(self) -> int:
        """Connections that serve a request."""
        return len(self._busy)

    @property
    def resting(self) -> int:
        """Connections that wait for a request."""
        return len(self._resting)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiters)

    @property
    def is_vacant(self) -> bool:
        """Whether there is nothing to close."""
        return not (self.open or self._waiters)

    # What requests do.

    def take(self) -> Connection | None:
        """The connection that rested last, if one rests that can still be used."""
        while self._resting:
            connection, _ = self._resting.popitem()
            if (transport := connection.transport) is not None and not transport.is_closing():
                self._busy.add(connection)
                return connection
            connection.close()
        return None

    async def acquire(self, limit_s: float, *, fresh: bool = False) -> Connection:
        """A connection ready for a request, which waits for one in its turn where there can't be any more.

        A `fresh` one has not rested: where one that had was found closed, the others may be as well.

        Raises `BusyError` if too many wait already or the wait takes `limit_s`, `BrokenError` if none can be opened,
        and `SilenceError` if that takes longer than what is left of `limit_s`.
        """
        if fresh:
            self._close_resting()
        elif (connection := self.take()) is not None:
            return connection
        if self._is_closed:
            raise _closed()
        if self.open < self._limits.connections:
            self._opening += 1
            return await self._open(limit_s)
        loop = asyncio.get_running_loop()
        wait_until = loop.time() + limit_s
        return await self._wait(limit_s) or await self._open(wait_until - loop.time())

    def release(self, connection: Connection) -> None:
        """Take a connection back; it is closed unless its exchange came to a clean end.

        Does nothing if it was given back before.
        """
        if connection not in self._busy:
            return
        if not connection.rest():
            self.drop(connection)
            return
        if self._waiters and self._pass_on(connection):
            return
        if self._is_retired:
            self.drop(connection)
            return
        self._busy.remove(connection)
        self._resting[connection] = None
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._keepalive_s, self._close_old)

    def drop(self, connection: Connection) -> None:
        """Close a connection instead of taking it back; does nothing if it was given back before."""
        if connection in self._busy:
            self._busy.remove(connection)
            connection.close()
            self._vacate()

    async def warm(self, limit_s: float) -> None:
        """Have at least one connection, so that the next request needn't wait for it; it rests as long as any other.

        Raises what `acquire` does.
        """
        if not self.open:
            self.release(await self.acquire(limit_s))

    def retire(self) -> None:
        """Keep no connection that rests any more; requests on their way here still get theirs."""
        self._is_retired = True
        self._close_resting()

    def close(self) -> None:
        """Close every connection, also those in use; who waits for one gets a `BrokenError`, now and from now on."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(_closed())
        for connection in (*self._resting, *self._busy):
            connection.close()
        self._resting.clear()
        self._busy.clear()
        self._dialer.close()

    # How requests get what they wait for.

    async def _open(self, limit_s: float) -> Connection:
        """A new connection in a place that is counted as being opened."""
        try:
            connection = await self._dialer.open(limit_s)
        except BaseException:
            self._opening -= 1
            self._vacate()
            raise
        self._opening -= 1
        if self._is_closed:
            connection.close()
            raise _closed()
        connection.on_closed = partial(self._leave, connection)
        self._busy.add(connection)
        return connection

    async def _wait(self, limit_s: float) -> Connection | None:
        """A connection that another request gave back, or None for a place to open one in."""
        if len(self._waiters) >= self._limits.waiting:
            raise BusyError(f"has no connection free: {self._crowd()}")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | None] = loop.create_future()
        self._waiters.append(waiter)
        alarm = loop.call_later(limit_s, self._give_up, waiter, limit_s)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It was cancelled in the moment in which its turn had come.
                self._return(waiter.result())
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise
        finally:
            alarm.cancel()

    def _give_up(self, waiter: asyncio.Future[Connection | None], limit_s: float) -> None:
        if not waiter.done():
            waiter.set_exception(BusyError(f"had no connection free for {limit_s:g} s: {self._crowd()}"))

    def _crowd(self) -> str:
        return f"all {self._limits.connections} are in use, and {len(self._waiters)} requests wait for one"

    def _pass_on(self, connection: Connection | None) -> bool:
        """Give a connection, or the place for one, to the request that waits longest; whether there is one."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _vacate(self) -> None:
        """Let the next request have the place of a connection that is gone."""
        if self._pass_on(None):
            self._opening += 1

    def _return(self, given: Connection | None) -> None:
        """Take back what a request was given that is not there any more."""
        if given is not None:
            self.release(given)
        else:
            self._opening -= 1
            self._vacate()

    # How connections leave while they rest.

    def _leave(self, connection: Connection) -> None:
        """Forget a connection that has ended: it said something unasked, or the provider closed it."""
        self._resting.pop(connection, None)
        connection.on_closed = None

    def _close_resting(self) -> None:
        for connection in list(self._resting):
            connection.close()
        self._resting.clear()

    def _close_old(self) -> None:
        """Close what has rested for too long, and come back for the rest."""
        loop = asyncio.get_running_loop()
        young = loop.time() - self._keepalive_s
        for connection in list(takewhile(lambda each: each.idle_since <= young, self._resting)):
            del self._resting[connection]
            connection.close()
        oldest = next(iter(self._resting), None)
        self._sweep = loop.call_at(oldest.idle_since + self._keepalive_s, self._close_old) if oldest else None


def _closed() -> BrokenError:
    return BrokenError("could not be reached: the proxy is stopping", Phase.CONNECT)
