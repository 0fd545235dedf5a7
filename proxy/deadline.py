"""A time limit that is moved often and reached seldom."""

import asyncio
from collections.abc import Callable
from math import inf


class Deadline:
    """Calls `expired` once a time limit is over that nobody has moved meanwhile.

    One timer serves many limits: it looks again when it rings, which costs a busy connection next to nothing, where
    setting and cancelling a timer for each wait would cost more than the wait. For the same reason whoever sets a limit
    doesn't clear it when the wait is over early: `expired` finds that nobody waits.

    Args:
        loop: the event loop whose clock counts.
        expired: what to do; it may set the next limit.

    Attributes:
        until: a time, by the loop's clock, that no limit goes beyond.
    """

    __slots__ = ("_at", "_expired", "_loop", "_rings_at", "_timer", "until")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._timer: asyncio.TimerHandle | None = None
        self._at = self._rings_at = self.until = inf

    @property
    def is_last(self) -> bool:
        """Whether the time is over that no limit goes beyond."""
        return self._loop.time() >= self.until

    def set(self, limit_s: float) -> None:
        """Let it be over in `limit_s` from now on, instead of when it would have been."""
        at = self._loop.time() + limit_s
        if at > self.until:  # noqa: PLR1730 - `min` takes several times as long
            at = self.until
        self._at = at
        if at < self._rings_at:
            self._start(at)

    def clear(self) -> None:
        """Let there be no limit."""
        self._at = self._rings_at = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = at
        self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._rings_at = inf
        if self._loop.time() < self._at:
            self._start(self._at)
        else:
            self._at = inf
            self._expired()
