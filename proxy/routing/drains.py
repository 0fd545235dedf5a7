"""Providers that are out of service by somebody's word: new requests avoid them, those under way finish.

A drain that isn't forced gives way where it leaves a model without any other endpoint: a provider in trouble is better
than none. Pure: whoever drains says when.
"""

from collections.abc import Collection, Mapping

import msgspec

from proxy.errors import ProviderDrainedError
from proxy.routing.resolution import Resolution, RoutingTarget
from proxy.routing.types import ALWAYS_USABLE, Conditions


class Drain(msgspec.Struct, frozen=True):
    """A provider is out of service.

    Attributes:
        is_forced: whether also models that have no other way are refused.
        expires_at: seconds since the epoch at which it takes itself back; None: never.
        since: seconds since the epoch; None where nobody said.
    """

    provider: str
    is_forced: bool = False
    expires_at: float | None = None
    actor: str = ""
    reason: str = ""
    since: float | None = None


class Drains:
    """The conditions that strategies go by, with some providers drained.

    Strategies share a drained endpoint's requests out among the others, as they do where one is out of service by
    itself. What they choose still names the drained ones, as fallbacks at least: `leave_out` ends that.

    Args:
        conditions: how the endpoints are by themselves.

    Attributes:
        by_provider: those in force; replaced whole with each change, and never changed.
    """

    __slots__ = ("_conditions", "by_provider")

    def __init__(self, conditions: Conditions = ALWAYS_USABLE) -> None:
        self._conditions = conditions
        self.by_provider: Mapping[str, Drain] = {}

    @property
    def all_usable(self) -> bool:
        """See `Conditions`."""
        return self._conditions.all_usable and not self.by_provider

    def is_usable(self, target: RoutingTarget) -> bool:
        """See `Conditions`."""
        return target.provider_name not in self.by_provider and self._conditions.is_usable(target)

    def load_s(self, target: RoutingTarget) -> float:
        """See `Conditions`."""
        return self._conditions.load_s(target)

    def leave_out(self, resolution: Resolution) -> Resolution:
        """The resolution without drained providers, or with those that aren't forced if there are no others.

        Raises `ProviderDrainedError` if there are none either.
        """
        targets = (resolution.target, *resolution.fallbacks)
        providers = dict.fromkeys(target.provider_name for target in targets)
        asked = asked_providers(providers, self.by_provider)
        if not asked:
            raise ProviderDrainedError(providers)
        if len(asked) == len(providers):
            return resolution
        return resolution.without(tuple(target for target in targets if target.provider_name not in asked))


def asked_providers(providers: Collection[str], drained: Mapping[str, Drain]) -> set[str]:
    """Those of a route's providers that are asked: the ones that are not drained, or else not by force."""
    return {name for name in providers if name not in drained} or {
        name for name in providers if not drained[name].is_forced
    }
