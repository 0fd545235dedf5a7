"""Shifting: a route takes over from another bit by bit, a few percent of the requests first.

A request that goes to the new route has that one's own fallbacks behind it, and then the old route's endpoints; so what
fails on the new side is still served. Pure: whoever takes a step says when.
"""

from collections.abc import Callable
from hashlib import blake2b
from itertools import count

import msgspec

from proxy.config.settings import RouteStrategy
from proxy.routing.route import Route, ready_route
from proxy.routing.strategies import Choice
from proxy.routing.types import Affinity, Conditions, DynamicRoute, RouteEndpoint, Shift

# Of a percent: finer shares tell nothing.
_PARTS = 100
_WHOLE = 100 * _PARTS


def shifted(shift: Shift, expiry_of: DynamicRoute | None = None) -> DynamicRoute:
    """The route as it is at the shift's step: at the last, the new one alone.

    Args:
        shift: how far it has come.
        expiry_of: a route whose end is also this one's.
    """
    expiry = None if expiry_of is None else expiry_of.expiry
    if shift.share >= 100:
        return msgspec.structs.replace(shift.to, expiry=expiry)
    to = shift.to
    named = {(each.provider, each.model_id) for each in to.endpoints}
    behind = [each for each in shift.old.endpoints if (each.provider, each.model_id) not in named]
    return DynamicRoute(to.model, [*to.endpoints, *behind], to.strategy, to.options, expiry, shift)


def ready_shift(
    route: DynamicRoute, below: Route | None, conditions: Conditions, accepts_provider: Callable[[str], bool]
) -> Route:
    """A route made ready, also one that takes over from another; raises `InvalidRequestError` as `ready_route` does.

    Args:
        route: the route.
        below: the config route of the same model, if it has one.
        conditions: what strategies go by beside their routes.
        accepts_provider: whether a route may name a provider.
    """
    ready = ready_route(route, conditions, accepts_provider)
    if (shift := route.shift) is not None:
        to = ready_route(shift.to, conditions, accepts_provider)
        old = below if shift.over_config and below is not None else ready_route(shift.old, conditions, accepts_provider)
        ready.shift = shift
        ready.side = _side(to, old, shift.share)
        # For who asks the route itself, and not its side.
        ready.choose = _through(ready.side)
    return ready


def _through(side: Callable[[Affinity | None], Route]) -> Callable[[Affinity | None], Choice]:
    return lambda affinity: side(affinity).choose(affinity)


def _side(to: Route, old: Route, share: float) -> Callable[[Affinity | None], Route]:
    """Which of two routes a request takes.

    By turns, spread so evenly that of any `n` in a row the new one gets its exact share, less or more than one. Where
    one of the routes is sticky, by the key: what has gone to the new one stays there as the share grows.
    """
    parts = round(share * _PARTS)
    turns = count()
    new = _with_behind(to, old)
    sticky = next((each for each in (to, old) if each.strategy is RouteStrategy.STICKY), None)

    def by_turns(_: Affinity | None) -> Route:
        done = next(turns) * parts
        return new if (done + parts) // _WHOLE > done // _WHOLE else old

    def by_key(affinity: Affinity | None) -> Route:
        key = "" if affinity is None or sticky is None else affinity(sticky.options.sticky_header)
        if not key:
            return by_turns(affinity)
        return new if _place(f"{to.model}\0{key}") < parts else old

    return by_turns if sticky is None else by_key


def _with_behind(to: Route, old: Route) -> Route:
    """The new route with the old one's endpoints behind its own."""
    named = {(target.provider_name, target.model_id) for target in to.targets}
    behind = tuple(target for target in old.targets if (target.provider_name, target.model_id) not in named)
    with_behind = Route(to.model, to.strategy, to.targets, to.weights, to.options)

    def choose(affinity: Affinity | None) -> Choice:
        target, fallbacks = to.choose(affinity)
        return target, fallbacks + behind

    with_behind.choose = choose
    return with_behind


def _place(text: str) -> int:
    """Where a key stands among all, evenly spread from 0 up to the whole; nothing to do with where `sticky` puts it."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=b"shift").digest()
    return int.from_bytes(digest) * _WHOLE >> 64


def compared(shift: Shift) -> tuple[list[RouteEndpoint], list[RouteEndpoint]]:
    """The endpoints that only the new route has, and those that only the old one has."""
    new, old = ({(each.provider, each.model_id): each for each in side.endpoints} for side in (shift.to, shift.old))
    return [each for key, each in new.items() if key not in old], [each for key, each in old.items() if key not in new]


def stepped(shift: Shift, now: float) -> Shift:
    """The shift at its next step; there has to be one."""
    return msgspec.structs.replace(shift, step=shift.step + 1, next_at=now + shift.every_s)


def resumed(shift: Shift, now: float) -> Shift:
    """The shift under way again: its step lasts as long as a new one."""
    return msgspec.structs.replace(shift, next_at=now + shift.every_s)


def taken_back(shift: Shift) -> DynamicRoute | None:
    """What is in force once the shift is taken back; None: no dynamic route."""
    return None if shift.over_config else shift.old
