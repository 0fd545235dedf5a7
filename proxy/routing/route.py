"""One route, made ready to choose: everything that can be decided once is decided when the route is made.

A `Route` is never changed, only replaced; the position of its round robin lives and dies with it.
"""

import msgspec

from proxy.config.settings import RouteOptions, RouteStrategy
from proxy.routing.strategies import STRATEGIES, Targets
from proxy.routing.types import ALWAYS_USABLE, USUAL_OPTIONS, Conditions, RouteEndpoint, RoutingTarget


class Route:
    """A model's strategy and targets.

    Attributes:
        choose: gives one request's target and the ordered fallbacks behind it, by what tells which requests belong
            together, if anything does.
    """

    __slots__ = ("choose", "model", "options", "strategy", "targets", "weights")

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
        self.choose = STRATEGIES[strategy](targets, weights, conditions, options.sticky_header)

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


def _context(target: RoutingTarget) -> int | msgspec.UnsetType:
    known = None if target.overrides is None else target.overrides.max_input_tokens
    return msgspec.UNSET if known is None else known
