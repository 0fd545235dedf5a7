"""How what the routing table holds is shown: the API's records out of the table's own."""

from datetime import UTC, datetime

import msgspec

from proxy.admin.changes.payloads import Changelog, DrainDiff, DrainState, RouteEdited
from proxy.admin.changes.shift_payloads import Judgement, ShiftSide, ShiftState
from proxy.admin.moments import moment
from proxy.admin.payloads import RouteState
from proxy.config.settings import RouteOptions
from proxy.routing import USUAL_OPTIONS, Change, Drain, DrainEdit, DynamicRoute, Expiry, Shift


def drain_state(drain: Drain | None) -> DrainState | None:
    """A drain as it is shown."""
    if drain is None:
        return None
    return DrainState(drain.actor, drain.reason, drain.is_forced, moment(drain.since), moment(drain.expires_at))


def drain_diff(edit: DrainEdit) -> DrainDiff:
    """What a change makes of a drain."""
    return DrainDiff(edit.provider, drain_state(edit.before), drain_state(edit.after))


def logged(change: Change) -> Changelog:
    """A change as the history shows it."""
    cause = change.cause
    return Changelog(
        change.revision,
        moment(cause.at),
        cause.actor,
        cause.action,
        cause.reason,
        tuple(RouteEdited(edit.model, route_state(edit.before), route_state(edit.after)) for edit in change.routes),
        tuple(map(drain_diff, change.drains)),
    )


def route_state(route: DynamicRoute | None) -> RouteState | None:
    """A dynamic route as the history shows it."""
    if route is None:
        return None
    return RouteState(
        strategy=route.strategy,
        endpoints=tuple(route.endpoints),
        options=unusual(route.options),
        expires_at=end(route.expiry),
        shift=shift_state(route.shift),
    )


def shift_state(shift: Shift | None, judgement: Judgement | None = None) -> ShiftState | msgspec.UnsetType:
    """How far a shift has come."""
    if shift is None:
        return msgspec.UNSET
    to, old = (ShiftSide(side.strategy, tuple(side.endpoints)) for side in (shift.to, shift.old))
    return ShiftState(
        state="paused" if shift.next_at is None else "running",
        share=shift.share,
        step=shift.step,
        steps=shift.steps,
        every_s=shift.every_s,
        next_at=moment(shift.next_at),
        started_by=shift.actor,
        to=to,
        old=old,
        guard=shift.guard,
        judgement=judgement,
    )


def unusual(options: RouteOptions) -> RouteOptions | msgspec.UnsetType:
    """Options that are worth a word."""
    return msgspec.UNSET if options == USUAL_OPTIONS else options


def end(expiry: Expiry | None) -> datetime | msgspec.UnsetType:
    """When a route takes itself back."""
    return msgspec.UNSET if expiry is None else datetime.fromtimestamp(expiry.at, UTC)
