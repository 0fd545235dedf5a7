"""The providers: how each is, and which routes lead to it; the sheets that take one out of service and put it back."""

from aiohttp import web

from proxy.admin.changes.desk import StaleChangeError
from proxy.admin.changes.payloads import DrainBody, Drained
from proxy.admin.keys import DESK, DRAIN_DESK, OVERVIEW
from proxy.admin.layout import Tab, back, render
from proxy.admin.pages.asking import asked, meanwhile
from proxy.admin.pages.draft import LIFETIMES
from proxy.admin.pages.fields import Fields, fields_of
from proxy.admin.pages.health import HealthBook
from proxy.errors import InvalidRequestError
from proxy.routing import RouteEndpoint

_MOST_SHOWN = 100


async def show(request: web.Request) -> web.Response:
    """`GET /desk/providers`: all of them."""
    desk, overview, health = request.app[DESK], request.app[OVERVIEW], HealthBook(request)
    shown = []
    for provider in desk.providers_in_service().providers:
        uses, asked_for = overview.uses(provider.name), {each.model_id: each for each in provider.endpoints}
        endpoints = [
            (RouteEndpoint(provider.name, model_id), uses.get(model_id, []), asked_for.get(model_id))
            for model_id in dict.fromkeys([*uses, *asked_for])
        ]
        shown.append((provider, endpoints[:_MOST_SHOWN], len(endpoints)))
    return render(request, "providers.html", {"providers": shown, "health": health}, tab=Tab.PROVIDERS)


async def show_drain(request: web.Request) -> web.Response:
    """`GET /desk/drain?provider=NAME`: what taking it out of service would do."""
    return await _render(request, Fields([("provider", request.query.get("provider", ""))]))


async def drain(request: web.Request) -> web.Response:
    """`POST /desk/drain`: it was confirmed, or is to be looked at anew."""
    fields = await fields_of(request)
    if fields.text("do") != "confirm":
        return await _render(request, fields)
    return await _change(request, fields, "drained")


async def show_restore(request: web.Request) -> web.Response:
    """`GET /desk/restore?provider=NAME`: what putting it back would do."""
    return await _render(request, Fields([("provider", request.query.get("provider", ""))]))


async def restore(request: web.Request) -> web.Response:
    """`POST /desk/restore`: it was confirmed."""
    return await _change(request, await fields_of(request), "restored")


async def _change(request: web.Request, fields: Fields, done: str) -> web.Response:
    try:
        await _ask(request, fields, dry_run=False)
    except StaleChangeError as error:
        return await _render(request, fields, error)
    except InvalidRequestError as error:
        return _page(request, fields, {"refused": error}, error.status)
    raise back(request, done, Tab.PROVIDERS)


async def _ask(request: web.Request, fields: Fields, *, dry_run: bool) -> Drained:
    """Ask the desk for what the sheet is for."""
    desk, provider, ask = request.app[DRAIN_DESK], fields.text("provider"), asked(request, fields, dry_run=dry_run)
    if _is_restore(request):
        return await desk.restore(provider, ask)
    lifetime = fields.text("lifetime")
    expires_in_s = float(lifetime) if lifetime and lifetime in LIFETIMES else None
    return await desk.drain(provider, DrainBody(expires_in_s=expires_in_s, force=bool(fields.text("force"))), ask)


async def _render(request: web.Request, fields: Fields, stale: StaleChangeError | None = None) -> web.Response:
    try:
        foreseen = await _ask(request, fields, dry_run=True)
    except InvalidRequestError as error:
        return _page(request, fields, {"refused": error}, error.status)
    since = fields.number("revision") or 0
    context = {
        "foreseen": foreseen,
        "affected": foreseen.affected[:_MOST_SHOWN],
        "stale": meanwhile(request, since) if stale else None,
        "refused": None,
    }
    return _page(request, fields, context, stale.status if stale else 200)


def _page(request: web.Request, fields: Fields, context: dict[str, object], status: int) -> web.Response:
    common = {
        "provider": fields.text("provider"),
        "reason": fields.text("reason"),
        "lifetime": fields.text("lifetime"),
        "force": bool(fields.text("force")),
        "lifetimes": LIFETIMES,
    }
    template = "restore.html" if _is_restore(request) else "drain.html"
    return render(request, template, common | context, tab=Tab.PROVIDERS, status=status)


def _is_restore(request: web.Request) -> bool:
    return request.path == str(request.app.router["restore"].url_for())
