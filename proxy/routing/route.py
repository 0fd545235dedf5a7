"""One route, made ready to choose: everything that can be decided once is decided when the route is made.

A `Route` is never changed, only replaced; the position of its round robin lives and dies with it.
"""

from collections.abc import Callable

import msgspec

from proxy.config.settings import EndpointOverrides, RouteOptions, RouteStrategy
from proxy.errors import InvalidRequestError
from proxy.routing.resolution import USUAL_OPTIONS, Resolution, RouteSource, RoutingTarget
from proxy.routing.strategies import STRATEGIES, Targets
from proxy.routing.types import ALWAYS_USABLE, Affinity, Conditions, DynamicRoute, Expiry, RouteEndpoint, Shift


class Route:
    """A model's strategy and targets.

    Attributes:
        choose: gives one request's target and the ordered fallbacks behind it, by what tells which requests belong
            together, if anything does.
        side: while the route takes over from another, gives the one of the two that a request takes; None otherwise.
        shift: how far it has come with that.
    """

    __slots__ = ("choose", "model", "options", "shift", "side", "strategy", "targets", "weights")

    def __init__(
        self,
        model: str,
        strategy: RouteStrategy,
        targets: Targets,
        weights: tuple[int, ...],
        options: RouteOptions = USUAL_OPTIONS,
        conditions: Conditions = ALWAYS_USABLE,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.targets = targets
        self.weights = weights
        # Told apart by identity with each request.
        self.options = USUAL_OPTIONS if options == USUAL_OPTIONS else options
        self.side: Callable[[Affinity | None], Route] | None = None
        self.shift: Shift | None = None
        self.choose = STRATEGIES[strategy](targets, weights, conditions, options.sticky_header)

    def resolution(self, source: RouteSource, revision: int, affinity: Affinity | None) -> Resolution:
        """Where one request goes, by a route of this source in this revision of the table."""
        route = self if self.side is None else self.side(affinity)
        target, fallbacks = route.choose(affinity)
        return Resolution(target, fallbacks, source, revision, route.options, route.strategy)

    @property
    def is_settled(self) -> bool:
        """Whether every request goes the same way."""
        return self.strategy is RouteStrategy.PRIORITY and self.side is None

    def equals(self, other: "Route") -> bool:
        """Whether both serve in the same way by the same targets, whatever position their round robin has."""
        ours = (self.model, self.strategy, self.targets, self.weights, self.options)
        return ours == (other.model, other.strategy, other.targets, other.weights, other.options)

    def endpoints(self) -> list[RouteEndpoint]:
        """The endpoints as fresh records, for the caller to keep or change."""
        return [
            RouteEndpoint(target.provider_name, target.model_id, weight, _context(target))
            for target, weight in zip(self.targets, self.weights, strict=True)
        ]

    def record(self, expiry: Expiry | None) -> DynamicRoute:
        """The route as a record, for the caller to keep or change."""
        return DynamicRoute(self.model, self.endpoints(), self.strategy, self.options, expiry, self.shift)


def _context(target: RoutingTarget) -> int | msgspec.UnsetType:
    known = None if target.overrides is None else target.overrides.max_input_tokens
    return msgspec.UNSET if known is None else known


def ready_route(route: DynamicRoute, conditions: Conditions, accepts_provider: Callable[[str], bool]) -> Route:
    """A route made ready out of a caller's record; raises `InvalidRequestError` with what is wrong."""
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
    shadow = route.options.shadow
    candidates = [] if shadow is None else [RouteEndpoint(shadow.provider, shadow.model_id)]
    for endpoint in (*route.endpoints, *candidates):
        _check_endpoint(endpoint, accepts_provider)
    return Route(
        route.model,
        strategy,
        tuple(RoutingTarget(each.provider, each.model_id, _overrides(each)) for each in route.endpoints),
        tuple(endpoint.weight for endpoint in route.endpoints),
        route.options,
        conditions,
    )


def _check_endpoint(endpoint: RouteEndpoint, accepts_provider: Callable[[str], bool]) -> None:
    if not endpoint.provider:
        raise InvalidRequestError(f"The endpoint for `{endpoint.model_id}` has no provider.", param="endpoints")
    if not endpoint.model_id:
        raise InvalidRequestError(f"The endpoint at `{endpoint.provider}` has no model_id.", param="endpoints")
    if endpoint.weight < 1:
        message = f"The weight of `{endpoint.provider}:{endpoint.model_id}` is {endpoint.weight}: expected 1 or more."
        raise InvalidRequestError(message, param="endpoints")
    if not accepts_provider(endpoint.provider):
        message = f"There is no provider `{endpoint.provider}`: a route can only name one from the config file."
        raise InvalidRequestError(message, param="endpoints")


def _overrides(endpoint: RouteEndpoint) -> EndpointOverrides | None:
    context = endpoint.max_input_tokens
    return EndpointOverrides(max_input_tokens=context) if isinstance(context, int) else None
