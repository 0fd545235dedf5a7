"""What becomes of a shift, as a draft that the table understands."""

from itertools import pairwise

import msgspec

from proxy.admin.changes.shift_payloads import USUAL_WINDOW_S, ShiftBody
from proxy.errors import InvalidRequestError, NotFoundError
from proxy.routing import (
    Draft,
    DynamicRoute,
    DynamicRoutingTable,
    RouteSource,
    Shift,
    ShiftGuard,
    resumed,
    shifted,
    stepped,
    taken_back,
)
from proxy.wire.model_name import check_model_name


class ShiftingError(InvalidRequestError):
    """A shift is not in the state that was asked for."""

    status = 409
    code = "shifting"


def beginning(route: DynamicRoute, body: ShiftBody, table: DynamicRoutingTable, now: float, actor: str) -> DynamicRoute:
    """The route at the first step of its shift; raises `InvalidRequestError` if there is nothing to shift from."""
    steps = body.steps
    if any(later <= sooner for sooner, later in pairwise(steps)) or steps[-1] != 100:
        message = "shift.steps: expected percents, each more than the one before, the last of them 100."
        raise InvalidRequestError(message, param="shift")
    view = table.describe(route.model)
    if view is None:
        message = f"`{route.model}` has no route to shift from: set this one without `shift`."
        raise InvalidRequestError(message, param="shift")
    if view.shift is not None:
        raise ShiftingError(f"`{route.model}` is shifting already: abort that first, or swap without `shift`.")
    old = table.dynamic_route(route.model)
    shift = Shift(
        to=msgspec.structs.replace(route, expiry=None),
        old=old or DynamicRoute(route.model, list(view.endpoints), view.strategy, view.options),
        over_config=view.source is not RouteSource.DYNAMIC,
        steps=steps,
        every_s=body.every_s,
        next_at=now + body.every_s,
        guard=_guard(body),
        actor=actor,
    )
    return shifted(shift, route)


def pausing(model: str, table: DynamicRoutingTable) -> Draft:
    """A draft that lets a shift stay at its step."""
    route, shift = _shifting(model, table)
    if shift.next_at is None:
        raise ShiftingError(f"The shift of `{model}` is paused already.")
    return Draft.setting([route.standing()])


def resuming(model: str, table: DynamicRoutingTable, now: float) -> Draft:
    """A draft that lets it go on."""
    route, shift = _shifting(model, table)
    if shift.next_at is not None:
        raise ShiftingError(f"The shift of `{model}` is under way already.")
    return Draft.setting([shifted(resumed(shift, now), route)])


def aborting(model: str, table: DynamicRoutingTable) -> Draft:
    """A draft that puts the route in force which there was before the shift."""
    _, shift = _shifting(model, table)
    return Draft({model: taken_back(shift)})


def stepping(seen: DynamicRoute, table: DynamicRoutingTable, now: float) -> Draft:
    """A draft that takes the next step; an empty one if the route isn't as it was seen."""
    if seen.shift is None or table.dynamic_route(seen.model) != seen:
        return Draft()
    return Draft.setting([shifted(stepped(seen.shift, now), seen)])


def taking_back(seen: DynamicRoute, table: DynamicRoutingTable) -> Draft:
    """A draft that takes the shift back; an empty one if the route isn't as it was seen."""
    if seen.shift is None or table.dynamic_route(seen.model) != seen:
        return Draft()
    return Draft({seen.model: taken_back(seen.shift)})


def _shifting(model: str, table: DynamicRoutingTable) -> tuple[DynamicRoute, Shift]:
    check_model_name(model)
    route = table.dynamic_route(model)
    if route is None or route.shift is None:
        raise NotFoundError(f"`{model}` is not shifting.")
    return route, route.shift


def _guard(body: ShiftBody) -> ShiftGuard | None:
    if (guard := body.guard) is None:
        return None
    return ShiftGuard(
        window_s=min(guard.window_s or USUAL_WINDOW_S, body.every_s),
        min_attempts=guard.min_attempts,
        error_margin=guard.error_margin,
        ttfb_factor=guard.ttfb_factor,
        ttfb_slack_s=guard.ttfb_slack_s,
    )
