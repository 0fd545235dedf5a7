"""The vocabulary of routing: what a route is made of, and what a table promises.

Immutable where it travels between rooms; `RouteEndpoint` and `DynamicRoute` are plain records that a caller fills in.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from proxy.config.settings import EndpointOverrides, RouteOptions, RouteStrategy

USUAL_OPTIONS = RouteOptions()


Affinity = Callable[[str | None], str]
"""Tells what a request's affinity is, by the header of that name or else by its body: "" if there is none."""


class RouteSource(StrEnum):
    """Where a resolution came from."""

    DYNAMIC = "dynamic"
    CONFIG = "config"
    DIRECT = "direct"


class RoutingTarget(msgspec.Struct, frozen=True, cache_hash=True):
    """What a route chose for one request: a provider, and the model id to ask it for."""

    provider_name: str
    model_id: str
    overrides: EndpointOverrides | None = None


class Resolution(msgspec.Struct, frozen=True):
    """Where one request goes: the chosen target, the ordered fallbacks behind it, and why.

    `revision` is the table's version that decided; `options` and `strategy` are the route's; `drained` are the targets
    that were left out since somebody has drained their providers.
    """

    target: RoutingTarget
    fallbacks: tuple[RoutingTarget, ...]
    source: RouteSource
    revision: int
    options: RouteOptions = USUAL_OPTIONS
    strategy: RouteStrategy = RouteStrategy.PRIORITY
    drained: tuple[RoutingTarget, ...] = ()


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

    def providers(self) -> Iterator[str]:
        """Every provider that it leads to, also once it has taken itself back."""
        yield from (endpoint.provider for endpoint in self.endpoints)
        if self.expiry is not None and self.expiry.then is not None:
            yield from self.expiry.then.providers()


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
        return route


class RouteView(msgspec.Struct, frozen=True):
    """A route in force, as an operator sees it."""

    model: str
    strategy: RouteStrategy
    endpoints: tuple[RouteEndpoint, ...]
    source: RouteSource
    shadows_config: bool = False
    options: RouteOptions = USUAL_OPTIONS
    expiry: Expiry | None = None

    @classmethod
    def of_dynamic(cls, route: DynamicRoute, below: "RouteView | None") -> "RouteView":
        """How a dynamic route looks over what is below it."""
        shadows_config = below is not None and below.source is RouteSource.CONFIG
        endpoints = tuple(route.endpoints)
        return cls(
            route.model, route.strategy, endpoints, RouteSource.DYNAMIC, shadows_config, route.options, route.expiry
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


class RoutingTable(Protocol):
    """Maps a model name to a target. An implementation may do I/O to find it."""

    async def route(self, model: str) -> RoutingTarget:
        """The target for one request; raises `UnknownModelError`."""
        ...

    def list_routes(self) -> list[RouteEntry]:
        """Every route, each model once."""
        ...


@runtime_checkable
class ModelRegistry(Protocol):
    """Knows the models that can be asked for."""

    def list_models(self) -> list[ModelEntry]:
        """Every known model, sorted by id."""
        ...


class AdminRoutingTable(RoutingTable, Protocol):
    """A table whose routes can be changed while it is in use."""

    def add_route(self, route: DynamicRoute) -> None:
        """Create or replace a dynamic route; raises `InvalidRequestError` and changes nothing if it can't serve."""
        ...

    def remove_route(self, model: str) -> bool:
        """Remove a dynamic route; False if there was none."""
        ...

    def list_dynamic_routes(self) -> list[DynamicRoute]:
        """Copies of the dynamic routes, sorted by model."""
        ...


@runtime_checkable
class ResolvingTable(Protocol):
    """A table that knows fallbacks."""

    async def resolve(self, model: str) -> Resolution:
        """The target with its fallbacks; raises `UnknownModelError`."""
        ...


@runtime_checkable
class DescribedTable(Protocol):
    """A table that tells more than a target: fallbacks, strategies, and which providers there are."""

    async def route(self, model: str) -> RoutingTarget:
        """See `RoutingTable.route`."""
        ...

    def list_routes(self) -> list[RouteEntry]:
        """See `RoutingTable.list_routes`."""
        ...

    async def resolve(self, model: str) -> Resolution:
        """The target with its fallbacks; raises `UnknownModelError`."""
        ...

    def describe(self, model: str) -> RouteView | None:
        """The route that `model` would take, without taking it; None if there is none."""
        ...

    def describe_routes(self) -> list[RouteView]:
        """Every route in force, sorted by model."""
        ...

    def protocol_of(self, provider: str) -> str | None:
        """A provider's native protocol; None if there is no such provider."""
        ...

    def accepts_provider(self, provider: str) -> bool:
        """Whether a route may name this provider."""
        ...
