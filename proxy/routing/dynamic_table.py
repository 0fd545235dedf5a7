"""Routes that are switched while requests run, layered over any other table.

A swap replaces one reference in one dictionary: a request that resolves at that moment sees the old route or the new
one, whole. Resolving awaits nothing of its own and takes no lock (but for `weighted`, which keeps its own counters).
"""

from collections.abc import Callable, Iterator
from threading import Lock

from proxy.errors import UnknownModelError
from proxy.routing.changes import Action, Cause, Change, Draft, History, RouteEdit, StaleRevisionError, change_between
from proxy.routing.config_table import ConfigRoutingTable
from proxy.routing.drains import Drains
from proxy.routing.ends import ended, next_end
from proxy.routing.inner import described
from proxy.routing.names import SortedNames, neighbours
from proxy.routing.resolution import Resolution, RouteSource, RoutingTarget
from proxy.routing.route import Route
from proxy.routing.shift import ready_shift
from proxy.routing.tables import ModelRegistry, RoutingTable
from proxy.routing.types import (
    ALWAYS_USABLE,
    Affinity,
    Conditions,
    DynamicRoute,
    Expiry,
    ModelEntry,
    RouteEntry,
    RouteView,
)

# Members of an enum are looked up in a tenth of the time under names of their own.
_DYNAMIC, _CONFIG = RouteSource.DYNAMIC, RouteSource.CONFIG
# So that forgetting them all takes no time that a request would notice.
_MOST_SETTLED = 1024
# Changes by a program that uses the table without saying who and why.
_SET, _REMOVED, _RELOADED = Cause(Action.SET), Cause(Action.REMOVE), Cause(Action.RELOAD)


class DynamicRoutingTable:
    """Layers dynamic routes over `inner`; a dynamic route shadows the inner route of the same model.

    Args:
        inner: any routing table; one that only routes and lists will do.
        conditions: what strategies go by beside their routes. If they are `Drains`, those are what `apply` changes.

    Attributes:
        history: the latest changes.
        drains: the providers that are out of service.
        settled: some resolutions that hold until the next change, by model: to be looked at before `resolve` is asked.
    """

    def __init__(self, inner: RoutingTable, conditions: Conditions = ALWAYS_USABLE) -> None:
        self.inner = inner
        self.history = History()
        self.settled: dict[str, Resolution] = {}
        self.drains = conditions if isinstance(conditions, Drains) else Drains(conditions)
        self._below = described(inner)
        self._routes: dict[str, Route] = {}
        self._expiring: dict[str, Expiry] = {}
        self._shifting: dict[str, Route] = {}
        self._revision = 0
        # Resolving never takes it: it keeps two threads' changes from getting the same revision.
        self._changing = Lock()
        self._listeners: list[Callable[[Change], None]] = []
        self._names = SortedNames()

    @property
    def revision(self) -> int:
        """The table's version: grows by one with each accepted change."""
        return self._revision

    @property
    def dynamic_count(self) -> int:
        """How many dynamic routes there are."""
        return len(self._routes)

    # What requests ask for.

    async def route(self, model: str) -> RoutingTarget:
        """The target for one request; raises `UnknownModelError`."""
        return (await self.resolve(model)).target

    async def resolve(self, model: str, affinity: Affinity | None = None) -> Resolution:
        """The target with its fallbacks.

        Raises `UnknownModelError`, with the closest known names, or `ProviderDrainedError` if nobody is left to ask.

        Args:
            model: the name that the request asks for.
            affinity: tells which requests it belongs together with; only strategies that stick ask.
        """
        # A change that another thread makes meanwhile begins a new one.
        settled = self.settled
        route, source = self._routes.get(model), _DYNAMIC
        if route is None and isinstance(self._below, ConfigRoutingTable):
            route, source = self._below.config_route(model), _CONFIG
        if route is not None:
            resolution = route.resolution(source, self._revision, affinity)
        else:
            try:
                resolution = await self._from_below(model, affinity)
            except UnknownModelError as error:
                raise UnknownModelError(model, neighbours(model, self.names())) from error
        if self.drains.by_provider:
            resolution = self.drains.leave_out(resolution)
        if route is not None and route.is_settled and len(settled) < _MOST_SETTLED:
            settled[model] = resolution
        return resolution

    async def _from_below(self, model: str, affinity: Affinity | None) -> Resolution:
        """What an inner table resolves that may take its time: what changes meanwhile has no part in it."""
        revision, below = self._revision, self._below
        goes_by = (affinity,) if isinstance(below, DynamicRoutingTable) else ()
        found = await below.resolve(model, *goes_by)
        return Resolution(found.target, found.fallbacks, found.source, revision, found.options, found.strategy)

    # What changes it.

    def add_route(self, route: DynamicRoute) -> None:
        """Create or replace the dynamic route of `route.model`.

        Raises `InvalidRequestError`, and changes nothing, if the route has no endpoints, an unknown strategy, an
        empty name or weight, or names a provider that the inner table doesn't accept.
        """
        self.apply(Draft.setting([route]), _SET)

    def remove_route(self, model: str) -> bool:
        """Remove a dynamic route, so that an inner route comes back into force; False if there was none."""
        return self.apply(Draft.setting([], [model]), _REMOVED) is not None

    def apply(self, draft: Draft, cause: Cause, expected: int | None = None) -> Change | None:
        """Put all of a draft in force as one revision, or change nothing.

        Args:
            draft: what is to be changed.
            cause: who does it, and why.
            expected: the revision that it is meant for; None: whichever is in force.

        Returns what was changed; None if there was nothing to change, since all that it does is remove what isn't
        there. Raises `InvalidRequestError` as `add_route` does, and `StaleRevisionError`.
        """
        ready = self._ready(draft)
        with self._changing:
            if expected is not None and expected != self._revision:
                raise StaleRevisionError(expected, self._revision)
            change = self._change(draft, ready, cause)
            if not change.size:
                return None
            for edit in change.routes:
                self._put(edit, ready.get(edit.model))
            if change.drains:
                self.drains.by_provider = change.drains_after(self.drains.by_provider)
            self._revision = change.revision
            self.settled = {}
            self.history.add(change)
        self._tell(change)
        return change

    def preview(self, draft: Draft, cause: Cause) -> Change:
        """What `apply` would change now; raises what it would."""
        return self._change(draft, self._ready(draft), cause)

    def replace_inner(self, inner: RoutingTable, cause: Cause = _RELOADED) -> None:
        """Layer the dynamic routes over another table from now on. None of them may lead where that doesn't."""
        with self._changing:
            self.inner = inner
            self._below = described(inner)
            self._names.change()
            self._revision += 1
            self.settled = {}
            change = Change(self._revision, cause)
            self.history.add(change)
        self._tell(change)

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Tell of each change from now on, once it is in force, in the thread that made it."""
        self._listeners.append(listener)

    # What is asked about it.

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
        return [self._record(route) for route in sorted(self._routes.values(), key=lambda route: route.model)]

    def shifting(self) -> list[DynamicRoute]:
        """Copies of the dynamic routes that are taking over from others."""
        return [self._record(route) for route in list(self._shifting.values())]

    def dynamic_route(self, model: str) -> DynamicRoute | None:
        """A copy of a model's dynamic route; None if it has none."""
        route = self._routes.get(model)
        return None if route is None else self._record(route)

    def describe(self, model: str) -> RouteView | None:
        """The route that `model` would take, without taking it; None if there is none."""
        if (route := self._routes.get(model)) is not None:
            return self._view(route)
        return self._below.describe(model)

    def describe_with(self, model: str, dynamic: DynamicRoute | None) -> RouteView | None:
        """The route that `model` would take if this were its dynamic route; without one, the inner table's."""
        below = self._below.describe(model)
        return below if dynamic is None else RouteView.of_dynamic(dynamic, below)

    def describe_routes(self) -> list[RouteView]:
        """The merged view with strategies, endpoints and sources, sorted by model."""
        views = {view.model: view for view in self._below.describe_routes()}
        for route in list(self._routes.values()):
            views[route.model] = self._view(route)
        return sorted(views.values(), key=lambda view: view.model)

    def names(self, after: str = "") -> list[str]:
        """Every routable name behind `after`, sorted; not to be changed."""
        if not isinstance(self._below, ConfigRoutingTable):
            self._names.change()
        inner = self.inner
        return self._names.behind(after, lambda: {each.model for each in inner.list_routes()}.union(list(self._routes)))

    def leading_to(self, provider: str) -> Iterator[tuple[str, tuple[RoutingTarget, ...]]]:
        """The models whose routes have a target at a provider, with all of the route's targets, by no order."""
        for view in self._below.describe_routes():
            if view.model not in self._routes and any(each.provider == provider for each in view.endpoints):
                yield view.model, tuple(RoutingTarget(each.provider, each.model_id) for each in view.endpoints)
        for route in list(self._routes.values()):
            for target in route.targets:
                if target.provider_name == provider:
                    yield route.model, route.targets
                    break

    def next_expiry(self) -> float | None:
        """When the next temporary route or drain takes itself back, in seconds since the epoch; None: none does."""
        return next_end(self._expiring, self.drains.by_provider)

    def expired(self, now: float) -> list[Draft]:
        """What takes back each route and drain whose time is over."""
        return ended(self._expiring, self.drains.by_provider, now)

    def protocol_of(self, provider: str) -> str | None:
        """A provider's native protocol; None if the inner table doesn't have it."""
        return self._below.protocol_of(provider)

    def accepts_provider(self, provider: str) -> bool:
        """Whether a route may name this provider: the inner table knows."""
        return self._below.accepts_provider(provider)

    # How it changes.

    def _ready(self, draft: Draft) -> dict[str, Route]:
        routes = [route for route in draft.routes.values() if route is not None]
        # What comes back later is checked as well.
        return {each.model: self._make_ready(each) for route in routes for each in (*route.later(), route)}

    def _make_ready(self, route: DynamicRoute) -> Route:
        below = self._below.config_route(route.model) if isinstance(self._below, ConfigRoutingTable) else None
        return ready_shift(route, below, self.drains, self.accepts_provider)

    def _change(self, draft: Draft, ready: dict[str, Route], cause: Cause) -> Change:
        after = {model: wanted and ready[model].record(wanted.expiry) for model, wanted in draft.routes.items()}
        before = {model: self.dynamic_route(model) for model in after}
        return change_between(self._revision + 1, cause, before, after, self.drains.by_provider, draft.drains)

    def _put(self, edit: RouteEdit, ready: Route | None) -> None:
        self._expiring.pop(edit.model, None)
        self._shifting.pop(edit.model, None)
        if edit.after is None or ready is None:
            del self._routes[edit.model]
        else:
            # Its end is known before it is in force.
            if edit.after.expiry is not None:
                self._expiring[edit.model] = edit.after.expiry
            if ready.shift is not None:
                self._shifting[edit.model] = ready
            self._routes[edit.model] = ready
        if edit.before is None or edit.after is None:
            self._names.change()

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)

    def _record(self, route: Route) -> DynamicRoute:
        return route.record(self._expiring.get(route.model))

    def _view(self, route: Route) -> RouteView:
        return RouteView.of_dynamic(self._record(route), self._below.describe(route.model))
