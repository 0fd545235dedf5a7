"""What goes on, as an operator sees it: how the proxy is, the latest requests, and events as they happen."""

import asyncio
import re
from functools import partial

import msgspec
from aiohttp import hdrs, web

from proxy.admin.access.actor import Role
from proxy.admin.access.gate import UnauthorizedError
from proxy.admin.answers import answer
from proxy.admin.api.parameters import (
    MOST_REQUESTS,
    STATUS_PATTERN,
    USUAL_REQUESTS,
    EventsHeaders,
    EventsQuery,
    RequestsQuery,
)
from proxy.admin.api.queries import flag, number
from proxy.admin.keys import DESK, GATE, TELEMETRY
from proxy.admin.paths import Call, add_call
from proxy.admin.payloads import ErrorAnswer
from proxy.admin.status import Status, status_of
from proxy.errors import InvalidRequestError
from proxy.telemetry import EventKind, RequestFilter, RequestView, SlowListenerError, Telemetry, Wish, view_of

_STATUS = re.compile(STATUS_PATTERN)


class RequestList(msgspec.Struct, frozen=True):
    """The latest requests that were asked for, newest first."""

    requests: tuple[RequestView, ...]


def add_live(admin: web.Application, telemetry: Telemetry) -> None:
    """Let the admin application show what goes on."""
    admin[TELEMETRY] = telemetry
    show = partial(Call, method=hdrs.METH_GET, role=Role.VIEWER)
    for call in (
        show(path="/status", handler=status, summary="How the proxy is", gives=Status),
        show(
            path="/requests",
            handler=list_requests,
            summary="The latest requests, newest first",
            query=RequestsQuery,
            gives=RequestList,
        ),
        show(
            path="/events",
            handler=events,
            summary="What happens, as it happens",
            details="Server-sent events, until the client leaves or ten minutes are over: then come back with the "
            "last id.",
            query=EventsQuery,
            headers=EventsHeaders,
            gives="text/event-stream",
            refuses={503: ErrorAnswer},
        ),
    ):
        add_call(admin, call)


async def status(request: web.Request) -> web.Response:
    """`GET /status`: how the proxy is."""
    return answer(status_of(request.app[DESK], request.app[TELEMETRY]))


async def list_requests(request: web.Request) -> web.Response:
    """`GET /requests?limit=&model=&provider=&status=&failed=`: the latest that are over, newest first."""
    _refuse_unknown(request, RequestsQuery)
    limit = number(request, "limit", USUAL_REQUESTS, MOST_REQUESTS)
    latest = request.app[TELEMETRY].recent.newest(_filter(request), limit)
    # Words for a thousand of them take a while.
    views = await asyncio.to_thread(lambda: tuple(map(view_of, latest)))
    return answer(RequestList(views))


async def events(request: web.Request) -> web.StreamResponse:
    """`GET /events?kinds=`: what happens, as server-sent events; `Last-Event-ID` goes on where a stream broke off."""
    _refuse_unknown(request, EventsQuery)
    wish = Wish(_kinds(request), _filter(request)) if "kinds" in request.query else Wish(requests=_filter(request))
    # A page that has just been made names the event up to which it knows everything.
    last_id = request.headers.get("Last-Event-ID") or request.query.get("last_event_id", "")
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"})
    if request.method == hdrs.METH_HEAD:
        return response
    gate = request.app[GATE]

    async def write(piece: bytes) -> None:
        if not gate.knows_still(request):
            raise UnauthorizedError("The session or token that this stream began with is gone.")
        await response.write(piece)

    with request.app[TELEMETRY].feed.listen(wish, last_id) as listener:
        await response.prepare(request)
        try:
            await listener.run(write)
        except (SlowListenerError, UnauthorizedError):
            # An end would say that all is told.
            if request.transport is not None:
                request.transport.abort()
    return response


def _refuse_unknown(request: web.Request, query: type[msgspec.Struct]) -> None:
    """A filter that is not applied would show what wasn't asked for."""
    known = query.__struct_fields__
    if unknown := sorted(request.query.keys() - set(known)):
        message = f"Unknown parameter `{unknown[0][:80]}`: expected some of {', '.join(sorted(known))}."
        raise InvalidRequestError(message)


def _filter(request: web.Request) -> RequestFilter:
    query = request.query
    wanted = query.get("status")
    if wanted is not None and not _STATUS.fullmatch(wanted):
        raise InvalidRequestError("status: expected a status such as 503, or a class of them such as 5xx.")
    failed = flag(request, "failed") if "failed" in query else None
    return RequestFilter(query.get("model"), query.get("provider"), wanted, failed)


def _kinds(request: web.Request) -> frozenset[EventKind]:
    names = request.query.get("kinds", "").split(",")
    try:
        return frozenset(map(EventKind, names))
    except ValueError:
        raise InvalidRequestError(f"kinds: expected some of {', '.join(EventKind)}, with commas between.") from None
