"""A circuit breaker: leaves alone what is sick, for longer each time, and lets one request find out whether it is well.

Pure: the clock and the chance are given. Attempts overlap, and one that began before the breaker opened can end long
after it closed again. So each carries a ticket, by which what it tells is known to be new or old.
"""

from collections.abc import Callable
from enum import StrEnum, auto
from typing import Final, NewType

# Few enough that a dead provider costs a handful of requests, and more than a burst of bad luck.
FAILURES_IN_A_ROW: Final = 5
# What fails every other request is worth avoiding, once there are enough of them to tell that from chance.
ERROR_RATE: Final = 0.5
WINDOW_S: Final = 30
WINDOW_RESULTS: Final = 20
# A restarted process is back in seconds; an outage is asked about once a minute.
FIRST_OPEN_S = 5.0
LONGEST_OPEN_S = 60.0
# So that several proxies don't come back to a provider in the same moment.
JITTER: Final = 0.2
# A provider may ask for a pause until a quota's next day; ours would then never learn that it was raised meanwhile.
LONGEST_COOLDOWN_S: Final = 600.0

# Results are kept by the 3 s: the window's end is that much blurred, and nothing need be kept of a single one.
_SLOT_S: Final = 3
_SLOTS: Final = WINDOW_S // _SLOT_S

Ticket = NewType("Ticket", int)
"""What an attempt was let in with. `REFUSED`, the only false one, if it wasn't."""
REFUSED: Final = Ticket(0)
FORCED: Final = Ticket(-1)
"""Let in although the breaker is open: what comes of it tells nothing."""


class BreakerState(StrEnum):
    """Whether requests get through."""

    CLOSED = auto()
    """They do."""
    OPEN = auto()
    """They don't, until its time is over."""
    HALF_OPEN = auto()
    """One does, as a trial."""


class Breaker:
    """Decides by what became of earlier attempts whether the next may begin.

    Args:
        clock: seconds, never going back.
        chance: a random number from 0 to 1.

    Attributes:
        generation: the ticket of the last trial and of who began after it; what others tell is not about now.
        is_closed: the usual case, told apart at the least cost.
        state: an open one whose time is over stays open until an attempt begins.
        open_until: when its time is over, by the clock.
        is_pausing: whether it is open since the provider asked for a pause.
    """

    __slots__ = (
        "_bad_in_slot",
        "_chance",
        "_clock",
        "_good_in_slot",
        "_in_a_row",
        "_is_tried",
        "_openings",
        "_slot",
        "_slot_ends",
        "generation",
        "is_closed",
        "is_pausing",
        "open_until",
        "state",
    )

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._clock = clock
        self._chance = chance
        self.state = BreakerState.CLOSED
        self.is_closed = True
        self.open_until = 0.0
        self.is_pausing = False
        self.generation = Ticket(1)
        self._is_tried = False
        self._openings = 0
        # Results by the slot in which they came, the ring's place of now, and when its time is over.
        self._good_in_slot: list[int] = []
        self._bad_in_slot: list[int] = []
        self._slot = 0
        self._slot_ends = 0.0
        self._forget_results()

    @property
    def is_usable(self) -> bool:
        """Whether `admit` would let an attempt begin."""
        if self.is_closed:
            return True
        return not self._is_tried and self._clock() >= self.open_until

    def admit(self) -> Ticket:
        """Let an attempt begin, or refuse it; the first after the open time is the trial."""
        if self.is_closed:
            return self.generation
        if not self.is_usable:
            return REFUSED
        self.state = BreakerState.HALF_OPEN
        self._is_tried = True
        self.generation = Ticket(self.generation + 1)
        return self.generation

    def force(self) -> Ticket:
        """Let an attempt begin whatever the state."""
        return self.generation if self.is_closed else FORCED

    def answer(self, ticket: Ticket) -> None:
        """Note an attempt's first content; the trial's closes the breaker."""
        if self.state is BreakerState.HALF_OPEN and ticket == self.generation:
            self._close()

    def succeed(self, ticket: Ticket) -> None:
        """Note that an attempt ended well."""
        if ticket != self.generation:
            return
        if not self.is_closed:
            self.answer(ticket)
            return
        if self._clock() >= self._slot_ends:
            self._turn()
        # Only now has it closed properly: an endpoint that begins its answers and can't end them doesn't count as well.
        self._openings = 0
        self._in_a_row = 0
        self._good_in_slot[self._slot] += 1

    def fail(self, ticket: Ticket, retry_after_s: float | None = None) -> str | None:
        """Note that an attempt failed; why the breaker opens, if it does.

        Args:
            ticket: the attempt's.
            retry_after_s: how long the provider asked to be left alone.
        """
        why = self._count() if ticket == self.generation else None
        cooldown_s = min(retry_after_s or 0.0, LONGEST_COOLDOWN_S)
        if why is not None:
            self._open(max(self._open_s(), cooldown_s), is_pause=cooldown_s > 0)
            return why
        # A provider's own word counts at once, and whichever attempt brings it.
        if cooldown_s > 0 and self._clock() + cooldown_s > self.open_until:
            was_open = self.state is BreakerState.OPEN
            self._open(cooldown_s, is_pause=True)
            return None if was_open else f"it asks for a pause of {cooldown_s:g} s"
        return None

    def abandon(self, ticket: Ticket) -> None:
        """Note that an attempt ended without telling anything; after a trial, the next may be one."""
        if self.state is BreakerState.HALF_OPEN and ticket == self.generation:
            self._is_tried = False

    def recover(self) -> None:
        """Close: it is known from elsewhere that requests get through. What is under way tells nothing any more."""
        self.generation = Ticket(self.generation + 1)
        self._close()

    # How it is decided.

    def _count(self) -> str | None:
        """Why a failure that is about now opens the breaker, if it does."""
        match self.state:
            case BreakerState.OPEN:
                return None
            case BreakerState.HALF_OPEN:
                return "its trial failed"
            case BreakerState.CLOSED:
                if self._clock() >= self._slot_ends:
                    self._turn()
                self._bad_in_slot[self._slot] += 1
                self._in_a_row += 1
                bad = sum(self._bad_in_slot)
                results = sum(self._good_in_slot) + bad
                if self._in_a_row >= FAILURES_IN_A_ROW:
                    return f"{self._in_a_row} failures in a row"
                if results >= WINDOW_RESULTS and bad >= ERROR_RATE * results:
                    return f"{bad} failures in {results} requests within {WINDOW_S} s"
                return None

    def _open_s(self) -> float:
        """How long to open this time; longer each time."""
        # The exponent is bounded for the sake of an outage that lasts for days.
        usual_s = min(FIRST_OPEN_S * 2.0 ** min(self._openings, 10), LONGEST_OPEN_S)
        self._openings += 1
        return usual_s * (1 - JITTER + 2 * JITTER * self._chance())

    def _open(self, open_s: float, *, is_pause: bool) -> None:
        self.state = BreakerState.OPEN
        self.is_closed = False
        self.is_pausing = is_pause
        self.open_until = self._clock() + open_s
        self._is_tried = False

    def _close(self) -> None:
        self.state = BreakerState.CLOSED
        self.is_closed = True
        self.open_until = 0.0
        self.is_pausing = False
        self._is_tried = False
        self._forget_results()

    def _forget_results(self) -> None:
        self._in_a_row = 0
        self._good_in_slot = [0] * _SLOTS
        self._bad_in_slot = [0] * _SLOTS
        self._slot = 0
        self._slot_ends = self._clock() + _SLOT_S

    def _turn(self) -> None:
        """Go on to the slot of now; what is too old leaves."""
        passed = 1 + int((self._clock() - self._slot_ends) // _SLOT_S)
        self._slot_ends += passed * _SLOT_S
        for _ in range(min(passed, _SLOTS)):
            self._slot = (self._slot + 1) % _SLOTS
            self._good_in_slot[self._slot] = self._bad_in_slot[self._slot] = 0
