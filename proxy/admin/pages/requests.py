"""The latest requests: what became of each, who was asked, and why."""

import asyncio

from aiohttp import web

from proxy.admin.keys import TELEMETRY
from proxy.admin.layout import Tab, render
from proxy.telemetry import RequestFilter, view_of

_SHOWN = 50


async def show(request: web.Request) -> web.Response:
    """`GET /desk/requests?model=&provider=&failed=`: the latest that are over, newest first."""
    query = request.query
    failed = True if query.get("failed") else None
    wanted = RequestFilter(query.get("model") or None, query.get("provider") or None, failed=failed)
    latest = request.app[TELEMETRY].recent.newest(wanted, _SHOWN)
    context = {
        "requests": await asyncio.to_thread(lambda: [view_of(outcome) for outcome in latest]),
        "wanted": wanted,
        "is_filtered": wanted != RequestFilter(),
    }
    return render(request, "requests.html", context, tab=Tab.REQUESTS)
