"""The vocabulary of routing: what a route is made of; what it gives for a request is in `resolution.py`.

Immutable where it travels between rooms; `RouteEndpoint` and `DynamicRoute` are plain records that a caller fills in.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from proxy.config.settings import RouteOptions, RouteStrategy
from proxy.routing.resolution import USUAL_OPTIONS, RouteSource, RoutingTarget

Affinity = Callable[[str | None], str]
"""Tells what a request's affinity is, by the header of that name or else by its body: "" if there is none."""


class RouteEntry(msgspec.Struct, frozen=True):
    """One line of `list_routes`: the model, its first endpoint's provider and that provider's native protocol."""

    model: str
    provider: str
    protocol: str


class ModelEntry(msgspec.Struct, frozen=True):
    """What is known of a model, for discovery. Limits are in tokens."""

    id: str
    provider: str
    name: str | None = None
    description: str | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()


class RouteEndpoint(msgspec.Struct):
    """One place that can serve a model."""

    provider: str
    model_id: str
    weight: int = 1
    max_input_tokens: int | msgspec.UnsetType = msgspec.UNSET
    """Its context, if that is known: a prompt that doesn't fit elsewhere may fit here."""


class DynamicRoute(msgspec.Struct):
    """A route set while the proxy runs; it shadows the config route of the same model."""

    model: str
    endpoints: list[RouteEndpoint]
    strategy: RouteStrategy = RouteStrategy.PRIORITY
    options: RouteOptions = USUAL_OPTIONS
    expiry: "Expiry | None" = None
    """When it takes itself back; None: never."""
    shift: "Shift | None" = None
    """How far it has come, if it takes over bit by bit: its endpoints are then those of both routes, the new first."""

    def providers(self) -> Iterator[str]:
        """Every provider that it leads to or shadows, also once it has taken itself back."""
        for route in (self, *self.later()):
            yield from (endpoint.provider for endpoint in route.endpoints)
            if route.options.shadow is not None:
                yield route.options.shadow.provider

    def later(self) -> Iterator["DynamicRoute"]:
        """The routes that come back one after the other, as each takes itself back."""
        if self.expiry is not None and self.expiry.then is not None:
            yield self.expiry.then
            yield from self.expiry.then.later()

    def standing(self) -> "DynamicRoute":
        """The same route, which takes no further step by itself: whoever goes back to it may not mean to go on."""
        if self.shift is None or self.shift.next_at is None:
            return self
        return msgspec.structs.replace(self, shift=msgspec.structs.replace(self.shift, next_at=None))


class Expiry(msgspec.Struct, frozen=True):
    """The end of a temporary route.

    Attributes:
        at: seconds since the epoch.
        then: the dynamic route that it replaced, which comes back, unless that has expired meanwhile as well.
    """

    at: float
    then: DynamicRoute | None = None

    def following(self, now: float) -> DynamicRoute | None:
        """The route that is in force behind it at a time from `at` on; None: no dynamic one."""
        route = self.then
        while route is not None and route.expiry is not None and route.expiry.at <= now:
            route = route.expiry.then
        return None if route is None else route.standing()


class ShiftGuard(msgspec.Struct, frozen=True, kw_only=True):
    """When a shift takes itself back: how much worse than the old endpoints the new ones may do.

    Attributes:
        window_s: the time over which both are compared, at least: it lasts until there are enough attempts.
        min_attempts: how many attempts there must be in it on both sides, before anything is told from them.
        error_margin: how much larger the share of failed attempts may be, from 0 to 1.
        ttfb_factor, ttfb_slack_s: theirs may be so many times the p95 time to first byte of the old, and so much more.
    """

    window_s: float
    min_attempts: int = 20
    error_margin: float = 0.05
    ttfb_factor: float = 2.0
    ttfb_slack_s: float = 0.5


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """One route taking over from another, step by step.

    Attributes:
        to: the new route, as it will be.
        old: the one that had all requests before.
        over_config: whether that is no dynamic route, so that the way back is to have none.
        steps: percent of the requests that the new one gets, each more than the one before; the last is 100.
        every_s: how long each step lasts.
        step: the position of the one in force.
        next_at: when the next is due, in seconds since the epoch; None while it is paused.
        guard: when it takes itself back; None: never.
        actor: who began it.
    """

    to: DynamicRoute
    old: DynamicRoute
    over_config: bool
    steps: tuple[float, ...]
    every_s: float
    step: int = 0
    next_at: float | None = None
    guard: ShiftGuard | None = None
    actor: str = ""

    @property
    def share(self) -> float:
        """Percent of the requests that the new route gets now."""
        return self.steps[self.step]


class RouteView(msgspec.Struct, frozen=True):
    """A route in force, as an operator sees it."""

    model: str
    strategy: RouteStrategy
    endpoints: tuple[RouteEndpoint, ...]
    source: RouteSource
    shadows_config: bool = False
    options: RouteOptions = USUAL_OPTIONS
    expiry: Expiry | None = None
    shift: Shift | None = None

    @classmethod
    def of_dynamic(cls, route: DynamicRoute, below: "RouteView | None") -> "RouteView":
        """How a dynamic route looks over what is below it."""
        shadows_config = below is not None and below.source is RouteSource.CONFIG
        return cls(
            route.model,
            route.strategy,
            tuple(route.endpoints),
            RouteSource.DYNAMIC,
            shadows_config,
            route.options,
            route.expiry,
            route.shift,
        )


class Conditions(Protocol):
    """What strategies may ask about the moment."""

    @property
    def all_usable(self) -> bool:
        """Whether no endpoint is out of service, so that none has to be asked about."""
        ...

    def is_usable(self, target: RoutingTarget) -> bool:
        """Whether an endpoint may be asked."""
        ...

    def load_s(self, target: RoutingTarget) -> float:
        """What to expect of an endpoint: its recent time to first byte, times the requests it would have."""
        ...


class _AlwaysUsable:
    """Nothing is known."""

    all_usable = True

    def is_usable(self, target: RoutingTarget) -> bool:  # noqa: ARG002
        return True

    def load_s(self, target: RoutingTarget) -> float:  # noqa: ARG002
        return 0.0


ALWAYS_USABLE: Conditions = _AlwaysUsable()
