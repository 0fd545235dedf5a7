"""What can be asked of the admin plane, without a word about HTTP; `changes/desk.py` changes it.

The API and the page both work through the two, so that they can't come to differ.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, takewhile

from proxy.admin.changes.payloads import (
    MAX_LISTED,
    EndpointState,
    HistoryPage,
    LastChange,
    ProviderList,
    ProviderState,
    RouteDiff,
)
from proxy.admin.changes.shift_payloads import NONE_JUDGED, Judgement
from proxy.admin.changes.views import drain_state, end, logged, shift_state, unusual
from proxy.admin.endpoints import NOTHING_KNOWN, EndpointReadings
from proxy.admin.moments import moment
from proxy.admin.payloads import Explanation, PassedOver, RouteInForce, RouteList, ShadowedRoute
from proxy.config import Current
from proxy.config.settings import Provider
from proxy.errors import UnknownModelError
from proxy.routing import DescribedTable, DynamicRoutingTable, RouteEdit, RouteSource, RouteView, asked_providers
from proxy.routing.names import neighbours

_DRAINED = "drained"


class Desk:
    """The operator's side of a routing table.

    Args:
        table: the table that requests are routed by.
        current: the settings in force: a route can only name one of their providers.
        readings: how the endpoints are.
        judgements: the latest of each model whose route shifts.
    """

    def __init__(
        self,
        table: DynamicRoutingTable,
        current: Current,
        readings: EndpointReadings = NOTHING_KNOWN,
        judgements: Mapping[str, Judgement] = NONE_JUDGED,
    ) -> None:
        self._judgements = judgements
        self._table = table
        self._current = current
        self._readings = readings

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The configured providers."""
        return self._current.settings.providers

    @property
    def revision(self) -> int:
        """The table's version."""
        return self._table.revision

    @property
    def dynamic_count(self) -> int:
        """How many dynamic routes there are."""
        return self._table.dynamic_count

    @property
    def drained(self) -> tuple[str, ...]:
        """The providers that are drained, sorted."""
        return tuple(sorted(self._table.drains.by_provider))

    @property
    def out_of_service(self) -> tuple[str, ...]:
        """The endpoints whose breakers are not closed, as `provider:model_id`, sorted."""
        sick = (each for each in self._readings.endpoints() if each.state != "closed")
        return tuple(sorted(f"{each.provider}:{each.model_id}" for each in sick))

    def routes(self) -> RouteList:
        """Every route in force, sorted by model."""
        revision = self._table.revision
        return RouteList(revision, tuple(self._in_force(view) for view in self._table.describe_routes()))

    def find_routes(self, limit: int, after: str = "", part: str = "") -> RouteList:
        """A page of the routes in force whose model is behind `after` and has `part` in its name, whatever its case."""
        revision = self._table.revision
        names = self._table.names()
        if part:
            wanted = part.casefold()
            names = [name for name in names if wanted in name.casefold()]
        begin = bisect_right(names, after) if after else 0
        page = names[begin : begin + limit]
        views = (self._table.describe(name) for name in page)
        routes = tuple(self._in_force(view) for view in views if view is not None)
        return RouteList(revision, routes, len(names), page[-1] if begin + limit < len(names) else None)

    def route(self, model: str) -> RouteInForce:
        """The route that a request for `model` would take, which it doesn't take; raises `UnknownModelError`."""
        if (view := self._table.describe(model)) is None:
            raise UnknownModelError(model, neighbours(model, self._table.names()))
        return self._in_force(view)

    def find_route(self, model: str) -> RouteInForce | None:
        """The same; None if there is none."""
        view = self._table.describe(model)
        return None if view is None else self._in_force(view)

    def resolve(self, model: str) -> Explanation:
        """The same, with the reason and the revision; raises `UnknownModelError`."""
        route = self.route(model)
        passed_over = tuple(self._passed_over(route))
        return Explanation(
            model=route.model,
            strategy=route.strategy,
            endpoints=route.endpoints,
            source=route.source,
            shadows_config=route.shadows_config,
            options=route.options,
            expires_at=route.expires_at,
            shift=route.shift,
            protocol=route.protocol,
            shadowed=route.shadowed,
            why=" ".join([_why(route), *self._why_around(route), *_why_not(route, passed_over)]),
            revision=self._table.revision,
            passed_over=passed_over,
        )

    def history(self, limit: int, before: int | None = None, model: str | None = None) -> HistoryPage:
        """Changes before a revision, newest first; with a model, those that touched its dynamic route."""
        revision = self._table.revision
        # One more than asked for tells whether there is another page.
        found = self._table.history.page(limit + 1, before, model)
        edits = accumulate(change.size for change in found[:limit])
        shown = found[: max(1, sum(1 for _ in takewhile(lambda size: size <= MAX_LISTED, edits)))]
        oldest = self._table.history.oldest_revision
        return HistoryPage(
            revision,
            tuple(map(logged, shown)),
            revision if oldest is None else oldest,
            shown[-1].revision if len(shown) < len(found) else None,
        )

    def last_change(self, model: str | None) -> LastChange | None:
        """The last change of a model's dynamic route, or of anything; None if none is remembered."""
        for change in self._table.history.page(1, model=model):
            cause = change.cause
            return LastChange(change.revision, moment(cause.at), cause.actor, cause.action, cause.reason)
        return None

    def providers_in_service(self) -> ProviderList:
        """The configured providers with their drains and endpoints, sorted by name."""
        revision = self._table.revision
        endpoints: dict[str, list[EndpointState]] = {}
        for each in self._readings.endpoints():
            state = EndpointState(each.model_id, str(each.state), each.in_flight)
            endpoints.setdefault(each.provider, []).append(state)
        drains = self._table.drains.by_provider
        states = (
            ProviderState(
                name,
                tuple(provider.protocols),
                drain_state(drains.get(name)),
                tuple(sorted(endpoints.get(name, ()), key=lambda state: state.model_id)),
            )
            for name, provider in sorted(self.providers.items())
        )
        return ProviderList(revision, tuple(states))

    def diff(self, edit: RouteEdit) -> RouteDiff:
        """What a change makes of the route that requests take."""
        views = (self._table.describe_with(edit.model, route) for route in (edit.before, edit.after))
        before, after = (None if view is None else self._in_force(view) for view in views)
        return RouteDiff(edit.model, before, after)

    def _why_around(self, route: RouteInForce) -> Iterator[str]:
        """What there is to say of drains."""
        providers = dict.fromkeys(endpoint.provider for endpoint in route.endpoints)
        drained = self._table.drains.by_provider
        asked = asked_providers(providers, drained)
        for name in providers:
            if name in drained:
                what = "there is no other way, so requests keep it" if name in asked else "requests avoid it"
                yield f"Provider `{name}` is drained: {what if asked else 'requests are refused'}."

    def _passed_over(self, route: RouteInForce) -> Iterator[PassedOver]:
        """The route's endpoints that requests avoid now."""
        drained = self._table.drains.by_provider
        for endpoint in route.endpoints:
            reading = self._readings.find(endpoint.provider, endpoint.model_id)
            if endpoint.provider in drained:
                yield PassedOver(endpoint.provider, endpoint.model_id, _DRAINED)
            elif reading is not None and reading.trouble is not None:
                yield PassedOver(endpoint.provider, endpoint.model_id, reading.trouble)

    def _in_force(self, view: RouteView) -> RouteInForce:
        return RouteInForce(
            model=view.model,
            strategy=view.strategy,
            endpoints=view.endpoints,
            source=view.source,
            shadows_config=view.shadows_config,
            options=unusual(view.options),
            expires_at=end(view.expiry),
            shift=shift_state(view.shift, self._judgements.get(view.model)),
            protocol=self._table.protocol_of(view.endpoints[0].provider),
            shadowed=self._shadowed(view),
        )

    def _shadowed(self, view: RouteView) -> ShadowedRoute | None:
        inner = self._table.inner
        if not view.shadows_config or not isinstance(inner, DescribedTable):
            return None
        below = inner.describe(view.model)
        return None if below is None else ShadowedRoute(below.strategy, below.endpoints)


def _why_not(route: RouteInForce, passed_over: Sequence[PassedOver]) -> Iterator[str]:
    """What there is to say of endpoints that are out of service by themselves."""
    for each in passed_over:
        if each.reason != _DRAINED:
            yield f"`{each.provider}:{each.model_id}` is {each.reason}."
    if len(passed_over) == len(route.endpoints) and any(each.reason != _DRAINED for each in passed_over):
        yield "No endpoint is well, so the least bad of those that are not drained is tried all the same."


def _why(route: RouteInForce) -> str:
    match route.source:
        case RouteSource.DYNAMIC if route.shadows_config:
            return "A dynamic route is in force; it shadows the config route of the same name."
        case RouteSource.DYNAMIC:
            return "A dynamic route is in force; the config file has none of this name."
        case RouteSource.CONFIG:
            return "The config route is in force; no dynamic route shadows it."
        case _:
            return "No route has this name, but it says directly which provider and model to ask."
