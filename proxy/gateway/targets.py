"""Which target is asked next: the resolution's order, less whom it makes no sense to ask now."""

import time
from collections.abc import Mapping, Sequence

from proxy.errors import Failure, ProxyError, UnsupportedProtocolError, UpstreamError
from proxy.routing import Resolution, RoutingTarget
from proxy.upstream import EndpointHealth, Health, RequestTemplate, RetryBudget, Ticket, Upstream
from proxy.wire import Call


class Way:
    """One way to ask, which its endpoint's breaker has let in.

    Args:
        target: who is asked.
        template: how.
        endpoint: its health.
        ticket: what the breaker has given for the attempt.
    """

    __slots__ = ("_places", "endpoint", "target", "template", "ticket")

    def __init__(
        self, target: RoutingTarget, template: RequestTemplate, endpoint: EndpointHealth, ticket: Ticket
    ) -> None:
        self.target = target
        self.template = template
        self.endpoint = endpoint
        self.ticket = ticket
        self._places = 0

    async def enter(self, until: float) -> None:
        """Take a place at the endpoint and its provider, if they have only so many; wait for it if need be.

        Raises `UpstreamBusyError` if there is none in time.
        """
        for limit in self.template.limits:
            if not limit.try_enter():
                await limit.enter(until - time.monotonic())
            self._places += 1

    def leave(self) -> None:
        """Give the places back."""
        for limit in self.template.limits[: self._places]:
            limit.leave()
        self._places = 0


class Targets:
    """One resolution's targets.

    Args:
        upstream: knows how they are asked.
        health: knows which may be.
        budgets: what each provider's requests have saved for extra attempts; it makes a provider's at first use.
        call: what they are asked for.
        resolution: their order, and the route's options.

    Attributes:
        is_panic: whether all are known to be out of service.
    """

    __slots__ = (
        "_budgets",
        "_call",
        "_health",
        "_options",
        "_resolution",
        "_upstream",
        "_waiting",
        "is_panic",
    )

    def __init__(
        self,
        upstream: Upstream,
        health: Health,
        budgets: Mapping[str, RetryBudget],
        call: Call,
        resolution: Resolution,
    ) -> None:
        self._upstream = upstream
        self._health = health
        self._budgets = budgets
        self._call = call
        self._options = resolution.options
        self._resolution = resolution
        self._waiting: Sequence[RoutingTarget] = resolution.fallbacks
        self.is_panic = False

    @property
    def are_left(self) -> bool:
        """Whether there may be another."""
        return bool(self._waiting)

    def first(self) -> Way:
        """The first that may be asked; if none may, the least bad.

        Raises `UnsupportedProtocolError` or `UpstreamError` if none can be asked this way at all.
        """
        targets = (self._resolution.target, *self._waiting)
        refusal: ProxyError | None = None
        closed: list[tuple[RoutingTarget, RequestTemplate]] = []
        for position, target in enumerate(targets, 1):
            try:
                template = self._upstream.template(target, self._call)
            except (UnsupportedProtocolError, UpstreamError) as error:
                refusal = refusal or error
                continue
            endpoint = self._health.of(target)
            if ticket := endpoint.admit():
                self._waiting = targets[position:]
                self._budgets[target.provider_name].deposit()
                return Way(target, template, endpoint, ticket)
            closed.append((target, template))
        if not closed:
            raise refusal or AssertionError("a resolution without a target")
        # Refusing would be certain failure; who has rested longest may have recovered.
        self._waiting = ()
        self.is_panic = True
        least_bad = self._health.least_bad([target for target, _ in closed])
        target, template = next(each for each in closed if each[0] == least_bad)
        endpoint = self._health.of(target)
        return Way(target, template, endpoint, endpoint.force())

    def following(self, failure: Failure, failed: RoutingTarget) -> Way | None:
        """The next target that may be tried after this failure, if one may."""
        if failure not in self._options.failover_on:
            return None
        if failure is Failure.TIMEOUT:
            self._waiting = [each for each in self._waiting if each.provider_name != failed.provider_name]
        elif failure is Failure.CONTEXT_LENGTH:
            self._waiting = [each for each in self._waiting if _context(each) > _context(failed)]
        return self.next_way(failed)

    def next_way(self, before: RoutingTarget) -> Way | None:
        """The next target that is well, as an extra attempt at the cost of the one before."""
        while self._waiting:
            target, *self._waiting = self._waiting
            try:
                template = self._upstream.template(target, self._call)
            except (UnsupportedProtocolError, UpstreamError):
                continue
            endpoint = self._health.of(target)
            if ticket := endpoint.admit():
                if self._budgets[before.provider_name].withdraw():
                    return Way(target, template, endpoint, ticket)
                endpoint.abandon(ticket)
                return None
        return None


def name_of(target: RoutingTarget) -> str:
    """A target in a log line; a client may have made up its model id."""
    return ascii(f"{target.provider_name}:{target.model_id}")[1:-1]


def _context(target: RoutingTarget) -> int:
    """How many tokens fit in, if that is known."""
    return (target.overrides.max_input_tokens or 0) if target.overrides is not None else 0
