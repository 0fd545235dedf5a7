"""Routes that are switched while requests run, layered over any other table.

A swap replaces one reference in one dictionary: a request that resolves at that moment sees the old route or the new
one, whole. Resolving awaits nothing of its own and takes no lock (but for `weighted`, which keeps its own counters).
"""

from collections.abc import Awaitable, Callable
from threading import Lock

from proxy.config.settings import EndpointOverrides, RouteStrategy
from proxy.errors import InvalidRequestError, UnknownModelError
from proxy.routing.config_table import ConfigRoutingTable
from proxy.routing.names import neighbours
from proxy.routing.route import Route
from proxy.routing.types import (
    ALWAYS_USABLE,
    Affinity,
    Conditions,
    DescribedTable,
    DynamicRoute,
    ModelEntry,
    ModelRegistry,
    Resolution,
    ResolvingTable,
    RouteEndpoint,
    RouteEntry,
    RouteSource,
    RouteView,
    RoutingTable,
    RoutingTarget,
)


class DynamicRoutingTable:
    """Layers dynamic routes over `inner`; a dynamic route shadows the inner route of the same model.

    Args:
        inner: any routing table; one that only routes and lists will do.
        on_added: called with each route once it is in force.
        conditions: what strategies go by beside their routes.
    """

    def __init__(
        self,
        inner: RoutingTable,
        on_added: Callable[[DynamicRoute], None] | None = None,
        conditions: Conditions = ALWAYS_USABLE,
    ) -> None:
        self.inner = inner
        self._on_added = on_added
        self._conditions = conditions
        self._below = _described(inner)
        self._resolve_below = _resolver(self._below)
        self._routes: dict[str, Route] = {}
        self._revision = 0
        # Resolving never takes it: it keeps two threads' changes from getting the same revision.
        self._changing = Lock()
        self._sorted_names: tuple[int, list[str]] = (-1, [])

    @property
    def revision(self) -> int:
        """The table's version: grows by one with each accepted change."""
        return self._revision

    async def route(self, model: str) -> RoutingTarget:
        """The target for one request; raises `UnknownModelError`."""
        return (await self.resolve(model)).target

    async def resolve(self, model: str, affinity: Affinity | None = None) -> Resolution:
        """The target with its fallbacks; raises `UnknownModelError`, with the closest known names.

        Args:
            model: the name that the request asks for.
            affinity: tells which requests it belongs together with; only strategies that stick ask.
        """
        if (route := self._routes.get(model)) is not None:
            target, fallbacks = route.choose(affinity)
            return Resolution(target, fallbacks, RouteSource.DYNAMIC, self._revision, route.options)
        # The inner table may take its time: what changes meanwhile has no part in this resolution.
        revision = self._revision
        try:
            below = await self._resolve_below(model, affinity)
        except UnknownModelError as error:
            raise UnknownModelError(model, neighbours(model, self._names())) from error
        return Resolution(below.target, below.fallbacks, below.source, revision, below.options)

    def add_route(self, route: DynamicRoute) -> None:
        """Create or replace the dynamic route of `route.model`.

        Raises `InvalidRequestError`, and changes nothing, if the route has no endpoints, an unknown strategy, an
        empty name or weight, or names a provider that the inner table doesn't accept.
        """
        ready = self._check(route)
        with self._changing:
            self._routes[ready.model] = ready
            self._revision += 1
        if self._on_added is not None:
            self._on_added(route)

    def remove_route(self, model: str) -> bool:
        """Remove a dynamic route, so that an inner route comes back into force; False if there was none."""
        with self._changing:
            if self._routes.pop(model, None) is None:
                return False
            self._revision += 1
            return True

    def replace_inner(self, inner: RoutingTable) -> None:
        """Layer the dynamic routes over another table from now on. None of them may lead where that doesn't."""
        with self._changing:
            self.inner = inner
            self._below = _described(inner)
            self._resolve_below = _resolver(self._below)
            self._revision += 1

    def list_routes(self) -> list[RouteEntry]:
        """The merged view, sorted by model, each model once."""
        entries = {entry.model: entry for entry in self.inner.list_routes()}
        for route in list(self._routes.values()):
            provider = route.targets[0].provider_name
            entries[route.model] = RouteEntry(route.model, provider, self._below.protocol_of(provider) or provider)
        return sorted(entries.values(), key=lambda entry: entry.model)

    def list_models(self) -> list[ModelEntry]:
        """The inner registry's models."""
        return self.inner.list_models() if isinstance(self.inner, ModelRegistry) else []

    def list_dynamic_routes(self) -> list[DynamicRoute]:
        """Copies of the dynamic routes, sorted by model."""
        routes = list(self._routes.values())
        routes.sort(key=lambda route: route.model)
        return [DynamicRoute(route.model, route.endpoints(), route.strategy, route.options) for route in routes]

    def describe(self, model: str) -> RouteView | None:
        """The route that `model` would take, without taking it; None if there is none."""
        if (route := self._routes.get(model)) is not None:
            return self._view(route)
        return self._below.describe(model)

    def describe_routes(self) -> list[RouteView]:
        """The merged view with strategies, endpoints and sources, sorted by model."""
        views = {view.model: view for view in self._below.describe_routes()}
        for route in list(self._routes.values()):
            views[route.model] = self._view(route)
        return sorted(views.values(), key=lambda view: view.model)

    def protocol_of(self, provider: str) -> str | None:
        """A provider's native protocol; None if the inner table doesn't have it."""
        return self._below.protocol_of(provider)

    def accepts_provider(self, provider: str) -> bool:
        """Whether a route may name this provider: the inner table knows."""
        return self._below.accepts_provider(provider)

    def _view(self, route: Route) -> RouteView:
        below = self._below.describe(route.model)
        return RouteView(
            route.model,
            route.strategy,
            tuple(route.endpoints()),
            RouteSource.DYNAMIC,
            shadows_config=below is not None and below.source is RouteSource.CONFIG,
            options=route.options,
        )

    def _check(self, route: DynamicRoute) -> Route:
        """A ready route out of a caller's record; raises `InvalidRequestError` with what is wrong."""
        if not route.model:
            raise InvalidRequestError("A route needs a model name.", param="model")
        if not route.endpoints:
            message = f"The route `{route.model}` has no endpoints: name at least one provider and model_id."
            raise InvalidRequestError(message, param="endpoints")
        try:
            strategy = RouteStrategy(route.strategy)
        except ValueError:
            known = ", ".join(RouteStrategy)
            message = f"Unknown strategy `{route.strategy}`: expected one of {known}."
            raise InvalidRequestError(message, param="strategy") from None
        for endpoint in route.endpoints:
            self._check_endpoint(endpoint)
        return Route(
            route.model,
            strategy,
            tuple(
                RoutingTarget(endpoint.provider, endpoint.model_id, _overrides(endpoint))
                for endpoint in route.endpoints
            ),
            tuple(endpoint.weight for endpoint in route.endpoints),
            route.options,
            self._conditions,
        )

    def _check_endpoint(self, endpoint: RouteEndpoint) -> None:
        if not endpoint.provider:
            raise InvalidRequestError(f"The endpoint for `{endpoint.model_id}` has no provider.", param="endpoints")
        if not endpoint.model_id:
            raise InvalidRequestError(f"The endpoint at `{endpoint.provider}` has no model_id.", param="endpoints")
        if endpoint.weight < 1:
            message = (
                f"The weight of `{endpoint.provider}:{endpoint.model_id}` is {endpoint.weight}: expected 1 or more."
            )
            raise InvalidRequestError(message, param="endpoints")
        if not self.accepts_provider(endpoint.provider):
            message = f"There is no provider `{endpoint.provider}`: a route can only name one from the config file."
            raise InvalidRequestError(message, param="endpoints")

    def _names(self) -> list[str]:
        """Every routable name, sorted; made anew only after a change."""
        revision, names = self._sorted_names
        if revision != self._revision:
            revision = self._revision
            names = [entry.model for entry in self.list_routes()]
            self._sorted_names = (revision, names)
        return names


def _described(table: RoutingTable) -> DescribedTable:
    return table if isinstance(table, DescribedTable) else _Described(table)


def _resolver(table: DescribedTable) -> Callable[[str, Affinity | None], Awaitable[Resolution]]:
    """How to ask a table: only ours are known to take an affinity."""
    if isinstance(table, ConfigRoutingTable | DynamicRoutingTable):
        return table.resolve
    return lambda model, _: table.resolve(model)


def _overrides(endpoint: RouteEndpoint) -> EndpointOverrides | None:
    context = endpoint.max_input_tokens
    return EndpointOverrides(max_input_tokens=context) if isinstance(context, int) else None


class _Described:
    """Describes a table that only routes and lists, as well as can be told from outside."""

    def __init__(self, table: RoutingTable) -> None:
        self._table = table

    async def route(self, model: str) -> RoutingTarget:
        return await self._table.route(model)

    async def resolve(self, model: str) -> Resolution:
        if isinstance(self._table, ResolvingTable):
            return await self._table.resolve(model)
        return Resolution(await self._table.route(model), (), RouteSource.CONFIG, 0)

    def list_routes(self) -> list[RouteEntry]:
        return self._table.list_routes()

    def describe(self, model: str) -> RouteView | None:
        return next((view for view in self.describe_routes() if view.model == model), None)

    def describe_routes(self) -> list[RouteView]:
        # Which model id stands behind a name is not told: the name itself is the best guess.
        return [
            RouteView(
                entry.model, RouteStrategy.PRIORITY, (RouteEndpoint(entry.provider, entry.model),), RouteSource.CONFIG
            )
            for entry in self._table.list_routes()
        ]

    def protocol_of(self, provider: str) -> str | None:
        return next((entry.protocol for entry in self._table.list_routes() if entry.provider == provider), None)

    def accepts_provider(self, provider: str) -> bool:  # noqa: ARG002 # which there are is not told, so any will do
        return True
