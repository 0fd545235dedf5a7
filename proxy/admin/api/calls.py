"""The calls of the admin API: each with the role that it takes, what it reads and what it answers."""

from functools import partial

from aiohttp import hdrs

from proxy.admin.access.actor import Role
from proxy.admin.api import changing, reading
from proxy.admin.api.parameters import ChangeHeaders, ChangeQuery, HistoryQuery, ModelQuery, RemovalQuery, RoutesQuery
from proxy.admin.api.preflight import preflight
from proxy.admin.changes.payloads import (
    BatchBody,
    Changed,
    DrainBody,
    Drained,
    HistoryPage,
    ProviderList,
    ReasonBody,
    RollbackBody,
    RouteRemoved,
    RouteSet,
    StaleAnswer,
)
from proxy.admin.paths import Call
from proxy.admin.payloads import (
    ErrorAnswer,
    Explanation,
    PreflightBody,
    PreflightDone,
    Reloaded,
    RouteBody,
    RouteList,
)

# (?s:…) so that a name with an encoded line break is refused as such, not as an unknown path.
_ROUTE = "/routes/{model:(?s:.+)}"

_show = partial(Call, method=hdrs.METH_GET, role=Role.VIEWER)
_change = partial(
    Call,
    method=hdrs.METH_POST,
    role=Role.OPERATOR,
    query=ChangeQuery,
    headers=ChangeHeaders,
    refuses={404: ErrorAnswer, 409: ErrorAnswer, 412: StaleAnswer, 422: ErrorAnswer, 503: ErrorAnswer},
)

CALLS = (
    _show(
        path="/routes",
        handler=reading.list_routes,
        summary="The routes in force",
        details="All of them, or a page where one of the parameters is given. `ETag` is the revision.",
        query=RoutesQuery,
        gives=RouteList,
    ),
    _change(
        path="/routes",
        handler=changing.set_route,
        summary="Create or replace a dynamic route, whole",
        takes=RouteBody,
        gives=RouteSet,
    ),
    _change(
        path="/routes:batch",
        handler=changing.batch,
        summary="Set and remove several routes as one revision, or none of them",
        takes=BatchBody,
        gives=Changed,
    ),
    _change(
        method=hdrs.METH_DELETE,
        path=_ROUTE,
        handler=changing.remove_route,
        summary="Remove a dynamic route",
        query=RemovalQuery,
        gives=RouteRemoved,
    ),
    _change(
        path=f"{_ROUTE}/rollback",
        handler=changing.rollback_route,
        summary="Undo the last change of a model's dynamic route",
        takes=ReasonBody,
        needs_body=False,
        gives=Changed,
    ),
    _change(
        path=f"{_ROUTE}/shift/pause",
        handler=changing.pause_shift,
        summary="Let a shift stay at its step",
        takes=ReasonBody,
        needs_body=False,
        gives=Changed,
    ),
    _change(
        path=f"{_ROUTE}/shift/resume",
        handler=changing.resume_shift,
        summary="Let a shift go on",
        takes=ReasonBody,
        needs_body=False,
        gives=Changed,
    ),
    _change(
        path=f"{_ROUTE}/shift/abort",
        handler=changing.abort_shift,
        summary="Put the route in force which there was before a shift",
        takes=ReasonBody,
        needs_body=False,
        gives=Changed,
    ),
    _change(
        path="/rollback",
        handler=changing.rollback,
        summary="Put routes and drains in force as they were once a revision was",
        takes=RollbackBody,
        gives=Changed,
    ),
    _show(
        path="/history",
        handler=changing.history,
        summary="What was changed, newest first",
        query=HistoryQuery,
        gives=HistoryPage,
    ),
    _show(
        path="/providers",
        handler=changing.list_providers,
        summary="The configured providers, with drains and breakers",
        details="`ETag` is the revision.",
        gives=ProviderList,
    ),
    _change(
        path="/providers/{name}/drain",
        handler=changing.drain,
        summary="Have every route avoid a provider",
        takes=DrainBody,
        needs_body=False,
        gives=Drained,
    ),
    _change(
        path="/providers/{name}/restore",
        handler=changing.restore,
        summary="Put a provider back in service",
        takes=ReasonBody,
        needs_body=False,
        gives=Drained,
    ),
    Call(
        method=hdrs.METH_POST,
        path="/preflight",
        role=Role.OPERATOR,
        handler=preflight,
        summary="Try endpoints out with a real request each",
        takes=PreflightBody,
        gives=PreflightDone,
    ),
    _show(
        path="/resolve",
        handler=reading.resolve,
        summary="Where a request for a model would go now, and why",
        query=ModelQuery,
        gives=Explanation,
        refuses={404: ErrorAnswer},
    ),
    _show(path="/metrics", handler=reading.metrics, summary="What Prometheus scrapes", gives="text/plain"),
    Call(
        method=hdrs.METH_POST,
        path="/reload",
        role=Role.ADMIN,
        handler=reading.reload,
        summary="Read the configuration anew and put it in force",
        details="If it can't be used, nothing changes, and the 400 lists its faults.",
        gives=Reloaded,
        refuses={503: ErrorAnswer},
    ),
)
