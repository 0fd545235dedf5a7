"""How one endpoint is: whether it can be asked, how soon it answers, and how many requests it has.

Nothing is asked to find out: the requests themselves tell.
"""

from collections.abc import Callable
from math import exp
from typing import Final, NamedTuple

from proxy.errors import Failure
from proxy.upstream.breaker import Breaker, BreakerState, Ticket

# How fast an old time to first byte is forgotten: in Finagle's peak-EWMA, too, 10 s.
DECAY_S: Final = 10.0
# What comes sooner after the last sample than this tells nothing new, unless it is a peak.
_SAMPLE_S: Final = 0.01

COUNTED: Final = frozenset(
    {
        Failure.CONNECT,
        Failure.BROKEN,
        Failure.TIMEOUT,
        Failure.RATE_LIMITED,
        Failure.UNAVAILABLE,
        Failure.UNAUTHORIZED,
        Failure.INCOMPLETE,
        Failure.CUT,
    }
)
"""Failures that tell of a sick endpoint; a client's request can bring about the others, or our own limits do."""


class HealthChange(NamedTuple):
    """An endpoint's breaker has changed its state.

    Attributes:
        reason: why, as the end of a sentence.
        open_s: how long it is open, if it is.
    """

    provider: str
    model_id: str
    before: BreakerState
    after: BreakerState
    reason: str
    open_s: float


class EndpointHealth:
    """One endpoint: a provider and one of its model ids.

    Each attempt begins with `admit` or `force`, and gives the ticket that it gets to `answered` once its first content
    is here, and to exactly one of `succeed`, `fail` and `abandon`.

    Args:
        provider: the provider's name.
        model_id: what it is asked for.
        changed: told of each change of the state.
        clock: seconds, never going back.
        chance: a random number from 0 to 1.

    Attributes:
        in_flight: attempts that have begun and not ended.
    """

    __slots__ = (
        "_breaker",
        "_changed",
        "_clock",
        "_first_byte_s",
        "_reason",
        "_sampled_at",
        "in_flight",
        "model_id",
        "provider",
    )

    def __init__(
        self,
        provider: str,
        model_id: str,
        changed: Callable[["EndpointHealth", HealthChange], None],
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self.provider = provider
        self.model_id = model_id
        self.in_flight = 0
        self._changed = changed
        self._clock = clock
        self._breaker = Breaker(clock, chance)
        self._first_byte_s = 0.0
        self._reason = ""
        self._sampled_at = clock()

    @property
    def state(self) -> BreakerState:
        """Whether it is asked."""
        return self._breaker.state

    @property
    def trouble(self) -> str | None:
        """Why it isn't asked like others, in words; None if it is."""
        match self._breaker.state:
            case BreakerState.CLOSED:
                return None
            case BreakerState.HALF_OPEN:
                return "on trial, by one request at a time"
            case BreakerState.OPEN if (left_s := self._breaker.open_until - self._clock()) > 0:
                return f"left alone for another {left_s:.1f} s: {self._reason}"
            case BreakerState.OPEN:
                return f"due for a trial by the next request, after it was left alone: {self._reason}"

    @property
    def open_until(self) -> float:
        """When it may be asked again, by the clock; in the past if it may be now."""
        return self._breaker.open_until

    @property
    def is_pausing(self) -> bool:
        """Whether it is open since it asked for a pause, which is not over."""
        return self._breaker.is_pausing and self._clock() < self._breaker.open_until

    @property
    def is_usable(self) -> bool:
        """Whether `admit` would let an attempt begin."""
        return self._breaker.is_usable

    @property
    def load_s(self) -> float:
        """What to expect of it: its time to first byte, recent peaks first, times the requests it would have.

        It sinks while nobody asks, or an endpoint that was slow once would never get the chance to show that it isn't.
        """
        return self._first_byte_s * exp((self._sampled_at - self._clock()) / DECAY_S) * (self.in_flight + 1)

    def admit(self) -> Ticket:
        """Begin an attempt, if one may begin: then its ticket is true, and it counts as in flight."""
        breaker = self._breaker
        if breaker.is_closed:
            self.in_flight += 1
            return breaker.generation
        before = breaker.state
        if ticket := breaker.admit():
            self.in_flight += 1
            self._tell(before, "its time is over, and one request tries it")
        return ticket

    def force(self) -> Ticket:
        """Begin an attempt all the same, since every other endpoint is as bad; tells nothing while it isn't closed."""
        self.in_flight += 1
        return self._breaker.force()

    def answered(self, ticket: Ticket, first_byte_s: float) -> None:
        """An attempt's first content is here, this long after the attempt began."""
        breaker = self._breaker
        if ticket != breaker.generation:
            return
        now = self._clock()
        is_peak = first_byte_s >= self._first_byte_s
        if is_peak or now >= self._sampled_at + _SAMPLE_S:
            kept = 0.0 if is_peak else exp((self._sampled_at - now) / DECAY_S)
            self._first_byte_s = self._first_byte_s * kept + first_byte_s * (1 - kept)
            self._sampled_at = now
        if not breaker.is_closed:
            before = breaker.state
            breaker.answer(ticket)
            self._tell(before, "it answers again")

    def succeed(self, ticket: Ticket) -> None:
        """An attempt ended well, whatever the provider answered."""
        self.in_flight -= 1
        breaker = self._breaker
        if breaker.is_closed:
            breaker.succeed(ticket)
            return
        before = breaker.state
        breaker.succeed(ticket)
        self._tell(before, "it answers again")

    def fail(self, ticket: Ticket, failure: Failure, retry_after_s: float | None = None) -> None:
        """An attempt ended badly.

        Args:
            ticket: the attempt's.
            failure: counts against the endpoint only if it is the endpoint's own.
            retry_after_s: how long the provider asked to be left alone.
        """
        self.in_flight -= 1
        if failure not in COUNTED:
            self._breaker.abandon(ticket)
            return
        before = self._breaker.state
        if why := self._breaker.fail(ticket, retry_after_s):
            self._tell(before, f"{why} ({failure})")

    def abandon(self, ticket: Ticket) -> None:
        """An attempt ended without telling anything: its client left, or another answered sooner."""
        self.in_flight -= 1
        self._breaker.abandon(ticket)

    def recovered(self) -> None:
        """Something else than a client's request has found that it answers."""
        before = self._breaker.state
        if before is not BreakerState.CLOSED:
            self._breaker.recover()
            self._tell(before, "it answers a probe")

    def _tell(self, before: BreakerState, reason: str) -> None:
        breaker = self._breaker
        if breaker.state is not before:
            self._reason = reason
            open_s = breaker.open_until - self._clock() if breaker.state is BreakerState.OPEN else 0.0
            self._changed(self, HealthChange(self.provider, self.model_id, before, breaker.state, reason, open_s))
