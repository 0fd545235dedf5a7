"""The routes: all of them, a page at a time, with what can be done about each."""

from aiohttp import web

from proxy.admin.keys import DESK
from proxy.admin.layout import Tab, render
from proxy.admin.pages.figures import Figures, figures_by_model
from proxy.admin.pages.health import HealthBook

PAGE = 50
"""Routes on one page."""


async def to_page(request: web.Request) -> web.Response:
    """`GET /admin`: the page's address ends with a slash."""
    raise web.HTTPFound(request.app.router["page"].url_for())


async def show(request: web.Request) -> web.Response:
    """`GET /admin/`: the routes whose names hold `?q=`, behind the one that `?after=` names."""
    query, after = request.query.get("q", "").strip(), request.query.get("after", "")
    found = request.app[DESK].find_routes(PAGE, after, query)
    context = {
        "found": found,
        "query": query,
        "after": after,
        "figures": figures_by_model(request),
        "quiet": Figures(),
        "health": HealthBook(request),
    }
    return render(request, "routes.html", context, tab=Tab.ROUTES)
