"""How many requests are under way at a provider or an endpoint at once, and who waits for the next place.

As in the pool of connections, what happens is decided without an await: a place that becomes free is handed to the
request that waits longest, and nobody who comes in that moment overtakes it.
"""

import asyncio
from collections import deque

from proxy.config.settings import Concurrency
from proxy.errors import Failure, UpstreamBusyError


class ConcurrencyLimit:
    """The places at one provider or endpoint. Whoever enters must leave, once.

    Args:
        settings: how many there are, and how many requests may wait for how long.
        who: the provider's name, or an endpoint's: `provider:model_id`.

    Attributes:
        in_use: places that are taken.
        refused: requests that got none.
    """

    __slots__ = ("_places", "_settings", "_waiters", "_who", "in_use", "refused")

    def __init__(self, settings: Concurrency, who: str) -> None:
        self._settings = settings
        self._places = settings.requests
        self._who = who
        self._waiters: deque[asyncio.Future[None]] = deque()
        self.in_use = 0
        self.refused = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._waiters)

    def try_enter(self) -> bool:
        """Take a place if one is free."""
        # While requests wait, none is: a place that is left is handed on.
        if self.in_use >= self._places:
            return False
        self.in_use += 1
        return True

    async def enter(self, limit_s: float | None = None) -> None:
        """Take a place, if need be after a wait in turn.

        Args:
            limit_s: how long to wait at most, if that is less than the settings allow.

        Raises `UpstreamBusyError` if too many wait already, or the wait takes too long.
        """
        if self.try_enter():
            return
        wait_s = self._settings.wait_s if limit_s is None else min(self._settings.wait_s, limit_s)
        if wait_s <= 0 or len(self._waiters) >= self._settings.waiting:
            raise self._busy(f"has as many requests under way as `{self._who}` may: {self._crowd()}")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        alarm = loop.call_later(wait_s, self._give_up, waiter, wait_s)
        try:
            await waiter
        except BaseException:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.cancelled() and waiter.exception() is None:
                # It was cancelled in the moment in which its turn had come.
                self.leave()
            raise
        finally:
            alarm.cancel()

    def leave(self) -> None:
        """Give the place to the request that waits longest, or let it be free."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.in_use -= 1

    def _give_up(self, waiter: asyncio.Future[None], waited_s: float) -> None:
        if not waiter.done():
            # It leaves the queue now, and not only once its task runs: its place there is another's.
            self._waiters.remove(waiter)
            waiter.set_exception(self._busy(f"had no place free at `{self._who}` for {waited_s:g} s: {self._crowd()}"))

    def _crowd(self) -> str:
        return f"all {self._places} are in use, and {len(self._waiters)} wait"

    def _busy(self, reason: str) -> UpstreamBusyError:
        self.refused += 1
        provider = self._who.partition(":")[0]
        return UpstreamBusyError(reason, provider=provider, failure=Failure.BUSY)
