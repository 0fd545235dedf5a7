"""What a table promises: to whoever asks it for a way, shows it, or changes it."""

from typing import Protocol, runtime_checkable

from proxy.routing.resolution import Resolution, RoutingTarget
from proxy.routing.types import DynamicRoute, ModelEntry, RouteEntry, RouteView


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
