"""How many further attempts a provider's failures may cost, so that its outage doesn't become the others' storm."""

import time
from collections.abc import Callable
from typing import Final

# One more attempt for every five requests: a fifth more load, as Finagle has it.
DEPOSITS_FOR_ONE: Final = 5
# What busy times may save up for a failing moment.
MOST_SAVED: Final = 100
# A proxy with few requests can always try elsewhere; and at 10 a second nobody is overrun.
RESERVE_PER_S = 10.0


class RetryBudget:
    """A token bucket that a provider's requests fill, and attempts that its failures make necessary empty.

    Beside it there is a reserve that the clock fills, and that is used first.

    Args:
        clock: seconds, never going back.
    """

    __slots__ = ("_clock", "_deposits", "_reserve", "_reserve_at")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Counted in whole deposits, which add up exactly.
        self._deposits = 0
        self._reserve = RESERVE_PER_S
        self._reserve_at = clock()

    @property
    def left(self) -> float:
        """Attempts that could be withdrawn now."""
        return self._deposits / DEPOSITS_FOR_ONE + self._accrued(self._clock())

    def deposit(self) -> None:
        """Count the first attempt of a request."""
        if self._deposits < MOST_SAVED * DEPOSITS_FOR_ONE:
            self._deposits += 1

    def withdraw(self) -> bool:
        """Whether there may be one more attempt, for a failover or a hedge; it is then counted."""
        now = self._clock()
        self._reserve = self._accrued(now)
        self._reserve_at = now
        if self._reserve >= 1:
            self._reserve -= 1
            return True
        if self._deposits >= DEPOSITS_FOR_ONE:
            self._deposits -= DEPOSITS_FOR_ONE
            return True
        return False

    def _accrued(self, now: float) -> float:
        """The reserve, which is never more than a second's."""
        return min(RESERVE_PER_S, self._reserve + RESERVE_PER_S * (now - self._reserve_at))
