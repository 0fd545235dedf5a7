"""How the endpoints are: which can be asked, how soon they answer, and how many requests they have.

Nothing is asked to find out: the requests themselves tell. `Health` is what routing goes by (its `Conditions`).
"""

import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import exp
from typing import NamedTuple

from proxy.errors import Failure
from proxy.routing import RoutingTarget
from proxy.upstream.breaker import Breaker, BreakerState, Ticket

# A client can name any model id at a provider; what it makes up must not fill the memory.
MOST_ENDPOINTS = 4096
# How fast an old time to first byte is forgotten: in Finagle's peak-EWMA, too, 10 s.
DECAY_S = 10.0
# For a trial that is under way: most answers begin within it.
_TRIAL_S = 1.0

COUNTED = frozenset(
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

_log = logging.getLogger("pointsman.health")


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

    __slots__ = ("_breaker", "_changed", "_clock", "_first_byte_s", "_sampled_at", "in_flight", "model_id", "provider")

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
        self._sampled_at = clock()

    @property
    def state(self) -> BreakerState:
        """Whether it is asked."""
        return self._breaker.state

    @property
    def open_until(self) -> float:
        """When it may be asked again, by the clock; in the past if it may be now."""
        return self._breaker.open_until

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
        if self._breaker.state is BreakerState.CLOSED:
            self.in_flight += 1
            return self._breaker.admit()
        before = self._breaker.state
        if ticket := self._breaker.admit():
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
        if not breaker.is_current(ticket):
            return
        now = self._clock()
        if first_byte_s >= self._first_byte_s:
            self._first_byte_s = first_byte_s
        else:
            kept = exp((self._sampled_at - now) / DECAY_S)
            self._first_byte_s = self._first_byte_s * kept + first_byte_s * (1 - kept)
        self._sampled_at = now
        if breaker.state is not BreakerState.CLOSED:
            before = breaker.state
            breaker.answer(ticket)
            self._tell(before, "it answers again")

    def succeed(self, ticket: Ticket) -> None:
        """An attempt ended well, whatever the provider answered."""
        self.in_flight -= 1
        before = self._breaker.state
        self._breaker.succeed(ticket)
        if before is not BreakerState.CLOSED:
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
            open_s = breaker.open_until - self._clock() if breaker.state is BreakerState.OPEN else 0.0
            self._changed(self, HealthChange(self.provider, self.model_id, before, breaker.state, reason, open_s))


def _ignore(_change: HealthChange) -> None:
    """Nobody wants to know."""


class Health:
    """The health of every endpoint that has been asked.

    Args:
        on_change: told of each change of an endpoint's state, once it is in force.
        clock: seconds, never going back.
        chance: a random number from 0 to 1.
    """

    __slots__ = ("_chance", "_clock", "_endpoints", "_on_change", "_troubled")

    def __init__(
        self,
        on_change: Callable[[HealthChange], None] = _ignore,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._on_change = on_change
        self._clock = clock
        self._chance = chance
        # The one that was asked last comes last.
        self._endpoints: OrderedDict[tuple[str, str], EndpointHealth] = OrderedDict()
        self._troubled: set[EndpointHealth] = set()

    @property
    def all_usable(self) -> bool:
        """Whether every endpoint is closed, so that none needs to be looked at."""
        return not self._troubled

    def is_usable(self, target: RoutingTarget) -> bool:
        """Whether an attempt may begin: the endpoint is closed, or due for its trial."""
        endpoint = self._endpoints.get((target.provider_name, target.model_id))
        return endpoint is None or endpoint.is_usable

    def load_s(self, target: RoutingTarget) -> float:
        """What to expect of an endpoint, in seconds to its first byte; 0 if nothing is known."""
        endpoint = self._endpoints.get((target.provider_name, target.model_id))
        return 0.0 if endpoint is None else endpoint.load_s

    def of(self, target: RoutingTarget) -> EndpointHealth:
        """The endpoint that a target leads to; to be asked for with each attempt, not kept beyond it."""
        key = (target.provider_name, target.model_id)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            if len(self._endpoints) >= MOST_ENDPOINTS:
                self._make_room()
            endpoint = self._endpoints[key] = EndpointHealth(*key, self._changed, self._clock, self._chance)
        else:
            self._endpoints.move_to_end(key)
        return endpoint

    def least_bad(self, targets: Sequence[RoutingTarget]) -> RoutingTarget:
        """Of targets none of which is usable, the one that is first to be again; there has to be one."""
        return min(targets, key=self._open_until)

    def retry_after_s(self, targets: Sequence[RoutingTarget]) -> float | None:
        """In how many seconds the first of them may be asked again; None if one may be now."""
        if not targets or any(map(self.is_usable, targets)):
            return None
        wait_s = min(map(self._open_until, targets)) - self._clock()
        return wait_s if wait_s > 0 else _TRIAL_S

    def endpoints(self) -> list[EndpointHealth]:
        """All of them."""
        return list(self._endpoints.values())

    def forget(self, provider: str) -> None:
        """Know nothing of a provider's endpoints: it has been configured anew."""
        for key in [key for key in self._endpoints if key[0] == provider]:
            self._troubled.discard(self._endpoints.pop(key))

    def _open_until(self, target: RoutingTarget) -> float:
        endpoint = self._endpoints.get((target.provider_name, target.model_id))
        return 0.0 if endpoint is None else endpoint.open_until

    def _make_room(self) -> None:
        """Forget the endpoint that rests longest and is well; without one, the one that was asked longest ago."""
        resting = (
            key for key, each in self._endpoints.items() if not each.in_flight and each.state is BreakerState.CLOSED
        )
        key = next(resting, None) or next(iter(self._endpoints))
        self._troubled.discard(self._endpoints.pop(key))

    def _changed(self, endpoint: EndpointHealth, change: HealthChange) -> None:
        if self._endpoints.get((endpoint.provider, endpoint.model_id)) is not endpoint:
            return  # forgotten, while an attempt was under way
        # A client may have made the model id up, line breaks and all.
        name = repr(f"{change.provider}:{change.model_id:.200}")
        match change.after:
            case BreakerState.CLOSED:
                self._troubled.discard(endpoint)
                _log.info("Endpoint %s is back: %s", name, change.reason)
            case BreakerState.HALF_OPEN:
                _log.info("Endpoint %s is on trial: %s", name, change.reason)
            case BreakerState.OPEN:
                self._troubled.add(endpoint)
                _log.warning("Endpoint %s is left alone for %.1f s: %s", name, change.open_s, change.reason)
        self._on_change(change)
