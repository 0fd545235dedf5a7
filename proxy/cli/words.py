"""What the admin API answers, in words for a person."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import UNSET

if TYPE_CHECKING:
    from proxy.admin.changes.payloads import Changed, Changelog, DrainState, LastChange
    from proxy.admin.changes.shift_payloads import ShiftState
    from proxy.admin.payloads import RouteState, ShadowedRoute
    from proxy.routing import RouteEndpoint
    from proxy.telemetry import RequestView
    from proxy.telemetry.live import Reading
    from proxy.upstream import Trial

MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
"""A point in time as it is told here."""

_HOW = {
    "load_balance": "in turn",
    "weighted": "by weight",
    "least_latency": "where an answer is expected sooner",
    "sticky": "the same one for requests that belong together",
}


def place(endpoint: "RouteEndpoint") -> str:
    """An endpoint, with its weight if that isn't 1."""
    name = f"{endpoint.provider}:{endpoint.model_id}"
    return name if endpoint.weight == 1 else f"{name} (weight {endpoint.weight})"


def in_order(strategy: str, places: Sequence[str]) -> str:
    """Endpoints as the strategy takes them."""
    if len(places) == 1:
        return places[0]
    if strategy == "priority":
        return f"{places[0]}, ahead of {', '.join(places[1:])}"
    return f"{', '.join(places[:-1])} and {places[-1]}, {_HOW.get(strategy, f'by {strategy}')}"


def route_in_words(route: "RouteState | ShadowedRoute | None") -> str:
    """Where a route leads, with all that is unusual about it."""
    from proxy.admin.payloads import RouteState  # noqa: PLC0415

    if route is None:
        return "nowhere: there is no route"
    said = [in_order(route.strategy, list(map(place, route.endpoints)))]
    if isinstance(route, RouteState):
        if route.shift is not UNSET:
            said = [shift_in_words(route.shift)]
        said += (f"{name}: {value}" for name, value in route.unusual().items())
        if route.expires_at is not UNSET:
            said.append(f"until {moment(route.expires_at)}")
    return "; ".join(said)


def shift_in_words(shift: "ShiftState") -> str:
    """How far a route has come that takes over from another."""
    new, old = (in_order(side.strategy, list(map(place, side.endpoints))) for side in (shift.to, shift.old))
    steps = ", ".join(f"{step:g}" for step in shift.steps)
    if shift.state == "paused":
        state = "paused"
    else:
        state = f"every {lasting(shift.every_s)}" + (f", next at {moment(shift.next_at)}" if shift.next_at else "")
    guard = "" if shift.guard is not None else "; without a guard"
    return f"{shift.share:g} % {new}; the rest {old} (steps {steps}: {state}{guard})"


def drain_in_words(drain: "DrainState | None") -> str:
    """Whether a provider is in service."""
    if drain is None:
        return "in service"
    said = [f"drained by {drain.actor}"]
    if drain.forced:
        said.append("by force")
    if drain.since is not None:
        said.append(f"since {moment(drain.since)}")
    if drain.expires_at is not None:
        said.append(f"until {moment(drain.expires_at)}")
    return ", ".join(said) + (f": {drain.reason}" if drain.reason else "")


def change_in_words(change: "Changelog | LastChange") -> str:
    """Who changed something, when and why."""
    when = "" if change.at is None else f" at {moment(change.at)}"
    why = f": {change.reason}" if change.reason else ""
    return f"{change.action} by {change.actor}{when} (revision {change.revision}){why}"


def differences(changed: "Changed") -> Iterator[str]:
    """What a change does, before and after."""
    for route in changed.routes:
        yield route.model
        yield f"  before  {route_in_words(route.before)}"
        yield f"  after   {route_in_words(route.after)}"
    for drain in changed.drains:
        yield f"provider {drain.provider}"
        yield f"  before  {drain_in_words(drain.before)}"
        yield f"  after   {drain_in_words(drain.after)}"


def left_behind(changed: "Changed") -> Iterator[str]:
    """What becomes of the requests under way at endpoints that a change leaves."""
    for target in changed.old_targets:
        if target.in_flight:
            name, count = f"{target.provider}:{target.model_id}", target.in_flight
            fate = f"{target.cut} of them were ended" if target.cut else "they finish there"
            yield f"Under way at {name}: {count} {'request' if count == 1 else 'requests'}; {fate}."


def trial_in_words(trial: "Trial") -> str:
    """What came of trying an endpoint out."""
    name = f"{trial.provider}:{trial.model_id}"
    latency = "" if trial.latency_ms is None else f" after {trial.latency_ms:.0f} ms"
    if trial.ok:
        return f"{name}: well{latency}"
    status = "no answer" if trial.status is None else f"status {trial.status}"
    return f"{name}: {status}{latency}. {trial.error or ''} {trial.advice or ''}".rstrip()


def moment(at: datetime) -> str:
    """A point in time by the clock of this machine."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(value: float | None) -> str:
    """A time, or that there is none."""
    return "-" if value is None else f"{value:.0f} ms"


def percent(share: float | None) -> str:
    """A share, or that there is none."""
    return "-" if share is None else f"{share * 100:.1f} %"


def figures(reading: "Reading") -> str:
    """What went on, in a line."""
    return (
        f"{reading.requests_per_s:.1f} requests/s, {percent(reading.error_share)} errors, "
        f"first byte p50 {milliseconds(reading.first_byte_p50_ms)}, p95 {milliseconds(reading.first_byte_p95_ms)}, "
        f"{reading.in_flight} in flight"
    )


def went_to(request: "RequestView") -> str:
    """The endpoints that a request asked, in order."""
    return " → ".join(f"{each.provider}:{each.model_id}" for each in request.attempts) or "nowhere"


def request_in_words(request: "RequestView") -> str:
    """One request that is over, in a line."""
    error = f": {request.error}" if request.error else ""
    return (
        f"{clock_of(request.time)} {request.model or '-'} {went_to(request)} {request.status or 'no answer'} "
        f"{milliseconds(request.duration_ms)}{error}"
    )


def clock_of(time: str) -> str:
    """An ISO 8601 time of today by the clock of this machine."""
    return datetime.fromisoformat(time).astimezone().strftime("%H:%M:%S")


def lasting(seconds: float) -> str:
    """A time by its largest unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
