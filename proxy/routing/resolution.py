"""What routing gives for one request: whom to ask, who stands behind, and why.

Every request reads these a dozen times, so they are plain classes, which cost least there. None of them ever changes.
"""

from enum import StrEnum
from typing import Final

from proxy.config.settings import EndpointOverrides, RouteOptions, RouteStrategy

USUAL_OPTIONS: Final = RouteOptions()
"""The options of a route that sets none."""


class RouteSource(StrEnum):
    """Where a resolution came from."""

    DYNAMIC = "dynamic"
    CONFIG = "config"
    DIRECT = "direct"


class RoutingTarget:
    """What a route chose for one request: a provider, and the model id to ask it for."""

    __slots__ = ("_hash", "model_id", "overrides", "provider_name")

    def __init__(self, provider_name: str, model_id: str, overrides: EndpointOverrides | None = None) -> None:
        self.provider_name: Final = provider_name
        self.model_id: Final = model_id
        self.overrides: Final = overrides
        self._hash: Final = hash((provider_name, model_id, overrides))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, RoutingTarget)
            and self.provider_name == other.provider_name
            and self.model_id == other.model_id
            and self.overrides == other.overrides
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        overrides = "" if self.overrides is None else f", {self.overrides!r}"
        return f"RoutingTarget({self.provider_name!r}, {self.model_id!r}{overrides})"


class Resolution:
    """Where one request goes: the chosen target, the ordered fallbacks behind it, and why.

    Args:
        target: who is asked first.
        fallbacks: who is asked behind it, in order.
        source: where the route came from.
        revision: the table's version that decided.
        options: the route's.
        strategy: the route's.
        drained: the targets that were left out since somebody has drained their providers.
    """

    __slots__ = ("drained", "fallbacks", "options", "revision", "source", "strategy", "target")

    def __init__(  # noqa: PLR0913, PLR0917 - all of it is told apart by its type
        self,
        target: RoutingTarget,
        fallbacks: tuple[RoutingTarget, ...],
        source: RouteSource,
        revision: int,
        options: RouteOptions = USUAL_OPTIONS,
        strategy: RouteStrategy = RouteStrategy.PRIORITY,
        drained: tuple[RoutingTarget, ...] = (),
    ) -> None:
        self.target: Final = target
        self.fallbacks: Final = fallbacks
        self.source: Final = source
        self.revision: Final = revision
        self.options: Final = options
        self.strategy: Final = strategy
        self.drained: Final = drained

    def without(self, drained: tuple[RoutingTarget, ...]) -> "Resolution":
        """The same less these targets, which are not all of its targets."""
        first, *others = (each for each in (self.target, *self.fallbacks) if each not in drained)
        return Resolution(first, tuple(others), self.source, self.revision, self.options, self.strategy, drained)

    def _told(self) -> tuple[object, ...]:
        return self.target, self.fallbacks, self.source, self.revision, self.options, self.strategy, self.drained

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resolution) and self._told() == other._told()

    def __hash__(self) -> int:
        return hash(self._told())

    def __repr__(self) -> str:
        return f"Resolution{self._told()!r}"
