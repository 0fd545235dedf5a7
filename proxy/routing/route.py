"""One route, made ready to choose: everything that can be decided once is decided when the route is made.

A `Route` is never changed, only replaced; the position of its round robin lives and dies with it.
"""

from collections.abc import Callable
from itertools import count

from proxy.config.settings import RouteOptions, RouteStrategy
from proxy.routing.types import USUAL_OPTIONS, RouteEndpoint, RoutingTarget

Targets = tuple[RoutingTarget, ...]
Choice = tuple[RoutingTarget, Targets]


class Route:
    """A model's strategy and targets.

    Attributes:
        choose: gives one request's target and the ordered fallbacks behind it.
    """

    __slots__ = ("choose", "model", "options", "strategy", "targets", "weights")

    def __init__(
        self,
        model: str,
        strategy: RouteStrategy,
        targets: Targets,
        weights: tuple[int, ...],
        options: RouteOptions = USUAL_OPTIONS,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.targets = targets
        self.weights = weights
        self.options = options
        self.choose = _SELECTORS[strategy](targets)

    def equals(self, other: "Route") -> bool:
        """Whether both choose in the same way among the same targets, whatever position their round robin has."""
        ours = (self.model, self.strategy, self.targets, self.weights)
        return ours == (other.model, other.strategy, other.targets, other.weights)

    def endpoints(self) -> list[RouteEndpoint]:
        """The endpoints as fresh records, for the caller to keep or change."""
        return [
            RouteEndpoint(target.provider_name, target.model_id, weight)
            for target, weight in zip(self.targets, self.weights, strict=True)
        ]


def _priority(targets: Targets) -> Callable[[], Choice]:
    """Always the order in which the endpoints stand."""
    choice = targets[0], targets[1:]
    return lambda: choice


def _load_balance(targets: Targets) -> Callable[[], Choice]:
    """Round robin from the first endpoint on; the ones that follow the chosen one are its fallbacks."""
    # `next` on a C iterator is one step for the interpreter: two threads never get the same turn.
    turns = count()
    size = len(targets)
    twice = targets + targets

    def choose() -> Choice:
        position = next(turns) % size
        return twice[position], twice[position + 1 : position + size]

    return choose


_SELECTORS: dict[RouteStrategy, Callable[[Targets], Callable[[], Choice]]] = {
    RouteStrategy.PRIORITY: _priority,
    RouteStrategy.LOAD_BALANCE: _load_balance,
}
