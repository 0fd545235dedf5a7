"""Which target is asked next: the resolution's order, less whom it makes no sense to ask now."""

from collections import defaultdict
from collections.abc import Sequence

from proxy.errors import Failure, ProxyError, UnsupportedProtocolError, UpstreamError
from proxy.gateway.exchange import Exchange
from proxy.gateway.hedge import HedgeDelays
from proxy.gateway.shadow import Shadows
from proxy.routing import Resolution, RoutingTarget
from proxy.telemetry import Alarms
from proxy.upstream import Health, RequestTemplate, RetryBudget, Upstream
from proxy.wire import Call


class Attempts:
    """What the attempts of all requests have in common.

    Args:
        upstream: the connections to the providers.
        health: how the endpoints are.
        alarms: what an operator has to look at.

    Attributes:
        shadows: mirrors requests; to be entered before the first one.
    """

    def __init__(self, upstream: Upstream, health: Health, alarms: Alarms) -> None:
        self.upstream = upstream
        self.health = health
        # By provider: a route can only name one that is configured.
        self.budgets: defaultdict[str, RetryBudget] = defaultdict(RetryBudget)
        self.delays = HedgeDelays()
        self.alarms = alarms
        self.shadows = Shadows(upstream)

    def budgets_left(self) -> list[tuple[str, float]]:
        """How many further attempts each provider's failures may cost now."""
        return [(provider, budget.left) for provider, budget in list(self.budgets.items())]


class Targets:
    """One resolution's targets.

    Args:
        common: what the attempts of all requests have in common.
        call: what they are asked for.
        resolution: their order, and the route's options.
    """

    def __init__(self, common: Attempts, call: Call, resolution: Resolution) -> None:
        self._common = common
        self._call = call
        self._resolution = resolution
        # Who has not been asked yet, beside the first.
        self._waiting: Sequence[RoutingTarget] = resolution.fallbacks

    @property
    def are_left(self) -> bool:
        """Whether there may be another."""
        return bool(self._waiting)

    def first(self) -> Exchange:
        """The first that may be asked; if none may, the least bad.

        Raises `UnsupportedProtocolError` or `UpstreamError` if none can be asked this way at all.
        """
        common, target = self._common, self._resolution.target
        refusal: ProxyError | None = None
        closed: list[tuple[RoutingTarget, RequestTemplate]] = []
        while True:
            try:
                template = common.upstream.template(target, self._call)
            except (UnsupportedProtocolError, UpstreamError) as error:
                refusal = refusal or error
            else:
                endpoint = common.health.of(target)
                if ticket := endpoint.admit():
                    common.budgets[target.provider_name].deposit()
                    return Exchange(target, template, endpoint, ticket)
                closed.append((target, template))
            if not self._waiting:
                break
            target, *self._waiting = self._waiting
        if not closed:
            raise refusal or AssertionError("a resolution without a target")
        # Refusing would be certain failure; who has rested longest may have recovered.
        least_bad = common.health.least_bad([target for target, _ in closed])
        target, template = next(each for each in closed if each[0] == least_bad)
        endpoint = common.health.of(target)
        return Exchange(target, template, endpoint, endpoint.force())

    def following(self, failure: Failure, failed: RoutingTarget) -> Exchange | None:
        """The next target that may be tried after this failure, if one may."""
        if failure not in self._resolution.options.failover_on:
            return None
        if failure is Failure.TIMEOUT:
            self._waiting = [each for each in self._waiting if each.provider_name != failed.provider_name]
        elif failure is Failure.CONTEXT_LENGTH:
            self._waiting = [each for each in self._waiting if _context(each) > _context(failed)]
        return self.next_one(failed)

    def next_one(self, before: RoutingTarget) -> Exchange | None:
        """The next target that is well, as an extra attempt at the cost of the one before."""
        common = self._common
        while self._waiting:
            target, *self._waiting = self._waiting
            try:
                template = common.upstream.template(target, self._call)
            except (UnsupportedProtocolError, UpstreamError):
                continue
            endpoint = common.health.of(target)
            if ticket := endpoint.admit():
                if common.budgets[before.provider_name].withdraw():
                    return Exchange(target, template, endpoint, ticket)
                endpoint.abandon(ticket)
                return None
        return None


def name_of(target: RoutingTarget) -> str:
    """A target in a log line; a client may have made up its model id."""
    return ascii(f"{target.provider_name}:{target.model_id}")[1:-1]


def _context(target: RoutingTarget) -> int:
    """How many tokens fit in, if that is known."""
    return (target.overrides.max_input_tokens or 0) if target.overrides is not None else 0
