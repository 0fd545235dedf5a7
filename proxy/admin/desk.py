"""What can be asked of the admin plane and what can be changed there, without a word about HTTP.

The API and the page both work through `Desk`, so that they can't come to differ.
"""

from collections.abc import Mapping

import msgspec

from proxy.admin.payloads import (
    Explanation,
    RouteBody,
    RouteInForce,
    RouteList,
    RouteRemoved,
    RouteSet,
    ShadowedRoute,
)
from proxy.config import Current
from proxy.config.document import header_name
from proxy.config.settings import FAILED_OVER, Provider, RouteOptions, RouteStrategy
from proxy.errors import Failure, InvalidRequestError, NotFoundError, UnknownModelError
from proxy.routing import DescribedTable, DynamicRoute, DynamicRoutingTable, RouteEndpoint, RouteSource, RouteView
from proxy.routing.names import neighbours
from proxy.routing.types import USUAL_OPTIONS
from proxy.wire.model_name import check_model_name


class Desk:
    """The operator's side of a routing table.

    Args:
        table: the table that requests are routed by.
        current: the settings in force: a route can only name one of their providers.
    """

    def __init__(self, table: DynamicRoutingTable, current: Current) -> None:
        self._table = table
        self._current = current

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The configured providers."""
        return self._current.settings.providers

    @property
    def revision(self) -> int:
        """The table's version."""
        return self._table.revision

    def routes(self) -> RouteList:
        """Every route in force, sorted by model."""
        revision = self._table.revision
        return RouteList(revision, tuple(self._in_force(view) for view in self._table.describe_routes()))

    def route(self, model: str) -> RouteInForce:
        """The route that a request for `model` would take, which it doesn't take; raises `UnknownModelError`."""
        if (view := self._table.describe(model)) is None:
            names = [entry.model for entry in self._table.list_routes()]
            raise UnknownModelError(model, neighbours(model, names))
        return self._in_force(view)

    def resolve(self, model: str) -> Explanation:
        """The same, with the reason and the revision; raises `UnknownModelError`."""
        route = self.route(model)
        return Explanation(
            model=route.model,
            strategy=route.strategy,
            endpoints=route.endpoints,
            source=route.source,
            shadows_config=route.shadows_config,
            options=route.options,
            protocol=route.protocol,
            shadowed=route.shadowed,
            why=_why(route),
            revision=self._table.revision,
        )

    def set_route(self, body: RouteBody) -> RouteSet:
        """Create or replace a dynamic route; raises `InvalidRequestError` and changes nothing if it can't serve."""
        check_model_name(body.model)
        for endpoint in body.endpoints:
            check_model_id(endpoint.provider, endpoint.model_id)
        endpoints = [
            RouteEndpoint(endpoint.provider, endpoint.model_id, endpoint.weight, endpoint.max_input_tokens)
            for endpoint in body.endpoints
        ]
        self._table.add_route(DynamicRoute(body.model, endpoints, _strategy(body.strategy), _options(body)))
        return RouteSet(body.model, self._table.revision)

    def remove_route(self, model: str) -> RouteRemoved:
        """Remove a dynamic route; raises `NotFoundError` if there is none."""
        check_model_name(model)
        if not self._table.remove_route(model):
            below = self._table.describe(model)
            if below is not None and below.source is RouteSource.CONFIG:
                message = f"`{model}` has no dynamic route. Its config route can only be changed in the config file."
                raise NotFoundError(message)
            raise NotFoundError(f"`{model}` has no dynamic route, so there is nothing to remove.")
        return RouteRemoved(model, self._table.revision)

    def _in_force(self, view: RouteView) -> RouteInForce:
        return RouteInForce(
            model=view.model,
            strategy=view.strategy,
            endpoints=view.endpoints,
            source=view.source,
            shadows_config=view.shadows_config,
            options=msgspec.UNSET if view.options == USUAL_OPTIONS else view.options,
            protocol=self._table.protocol_of(view.endpoints[0].provider),
            shadowed=self._shadowed(view),
        )

    def _shadowed(self, view: RouteView) -> ShadowedRoute | None:
        inner = self._table.inner
        if not view.shadows_config or not isinstance(inner, DescribedTable):
            return None
        below = inner.describe(view.model)
        return None if below is None else ShadowedRoute(below.strategy, below.endpoints)


def _strategy(name: str) -> RouteStrategy:
    try:
        return RouteStrategy(name)
    except ValueError:
        message = f"Unknown strategy `{name[:80]}`: expected one of {', '.join(RouteStrategy)}."
        raise InvalidRequestError(message, param="strategy") from None


def _options(body: RouteBody) -> RouteOptions:
    for failure in body.failover_on:
        if failure not in FAILED_OVER:
            message = f"failover_on: expected some of {', '.join(FAILED_OVER)}, got `{failure[:80]}`."
            raise InvalidRequestError(message, param="failover_on")
    if body.sticky_header is not None:
        try:
            header_name(body.sticky_header)
        except ValueError as error:
            message = f"sticky_header: expected {error}, got `{body.sticky_header[:80]}`."
            raise InvalidRequestError(message, param="sticky_header") from error
    failover_on = tuple(map(Failure, body.failover_on))
    return RouteOptions(failover_on, body.delivery, body.hedge_after, body.ping_s, body.sticky_header)


def check_model_id(provider: str, model_id: str) -> None:
    """A model id is a model's name at the provider's; an empty one is the table's to refuse.

    Raises `InvalidRequestError`.
    """
    try:
        if model_id:
            check_model_name(model_id)
    except InvalidRequestError as error:
        message = f"The model_id at `{provider[:80]}` can't be used: {error.message}"
        raise InvalidRequestError(message, param="endpoints") from error


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
