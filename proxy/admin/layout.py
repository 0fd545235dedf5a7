"""What every page has in common: the bar at its top, the state of things in words, and the theme."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial

import aiohttp_jinja2
from aiohttp import web

from proxy.admin.access.actor import Role, known_actor
from proxy.admin.keys import DESK, GATE, TELEMETRY
from proxy.admin.status import status_of

# What a page says after a change; the address only names one of these, so that no link can put words here.
_DONE = {
    "set": "The route is in force.",
    "reverted": "The dynamic route is removed.",
    "shift-pause": "The shift stays at its step.",
    "shift-resume": "The shift goes on.",
    "shift-abort": "The old route is in force again.",
    "drained": "The provider is drained: requests avoid it.",
    "restored": "The provider is back in service.",
    "rolled-back": "The earlier state is in force again.",
}

THEME_COOKIE = "pointsman_theme"
THEMES = ("system", "light", "dark")


class Tab(StrEnum):
    """The pages that the bar leads to, by the names of their routes."""

    ROUTES = "page"
    PROVIDERS = "providers"
    HISTORY = "history"
    REQUESTS = "requests"


TITLES = {tab: tab.name.capitalize() for tab in Tab}


def render(
    request: web.Request, template: str, context: Mapping[str, object], *, tab: Tab | None = None, status: int = 200
) -> web.Response:
    """A page. Every form in it that is posted holds `{{ csrf_field() }}`.

    Args:
        request: what it answers.
        template: the file's name.
        context: what the template shows, beside `actor` (None for somebody unknown) and the like.
        tab: where in the bar the page stands; a page without one tells nothing of the state of things.
        status: of the answer.
    """
    forms = request.app[GATE].forms
    events = request.app[TELEMETRY].feed.events if tab else None
    actor = known_actor(request)
    common = {
        "actor": actor,
        "may_change": actor is not None and actor.role.includes(Role.OPERATOR),
        "csrf_field": partial(forms.field, request),
        "standing": status_of(request.app[DESK], request.app[TELEMETRY]) if tab and actor else None,
        "last_event": events.id_of(events.last) if events else "",
        "now": datetime.now(UTC),
        "tabs": TITLES if actor else {},
        "tab": tab,
        "theme": theme_of(request),
        "here": request.rel_url.path_qs,
        "done": _DONE.get(request.query.get("done", "")),
    }
    response = aiohttp_jinja2.render_template(template, request, common | dict(context), status=status)
    forms.mark_visitor(request, response)
    return response


def back(request: web.Request, done: str, tab: Tab = Tab.ROUTES) -> web.HTTPSeeOther:
    """The way back to a page after a change."""
    return web.HTTPSeeOther(request.app.router[tab].url_for().with_query(done=done))


def theme_of(request: web.Request) -> str:
    """The theme that the browser's user chose."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else "system"
