"""How the endpoints are, all of them: what routing goes by (its `Conditions`)."""

import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from proxy.routing import RoutingTarget
from proxy.upstream.breaker import BreakerState
from proxy.upstream.endpoint_health import EndpointHealth, HealthChange

__all__ = ["EndpointHealth", "Health", "HealthChange"]

# A client can name any model id at a provider; what it makes up must not fill the memory.
MOST_ENDPOINTS = 4096
_MANY = MOST_ENDPOINTS // 2
# For a trial that is under way: most answers begin within it.
_TRIAL_S: Final = 1.0

_log: Final = logging.getLogger("pointsman.health")


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
        # Once there are many, the one that was asked last comes last.
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
        elif len(self._endpoints) > _MANY:
            self._endpoints.move_to_end(key)
        return endpoint

    def find(self, provider: str, model_id: str) -> EndpointHealth | None:
        """An endpoint that has been asked; None if it hasn't."""
        return self._endpoints.get((provider, model_id))

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

    def troubled(self) -> list[EndpointHealth]:
        """Those that are not closed."""
        return list(self._troubled)

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
