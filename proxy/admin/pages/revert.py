"""The sheet that takes a dynamic route away, so that the config route underneath comes back, if there is one."""

from aiohttp import web

from proxy.admin.changes.desk import StaleChangeError
from proxy.admin.keys import CHANGE_DESK
from proxy.admin.layout import Tab, back, render
from proxy.admin.pages.asking import Meanwhile, asked, meanwhile
from proxy.admin.pages.fields import Fields, fields_of
from proxy.admin.pages.review import compare
from proxy.errors import InvalidRequestError


async def show(request: web.Request) -> web.Response:
    """`GET /desk/revert?model=MODEL`: what would come of it."""
    return await _render(request, Fields([("model", request.query.get("model", ""))]))


async def answer(request: web.Request) -> web.Response:
    """`POST /desk/revert`: it was confirmed."""
    fields = await fields_of(request)
    model = fields.text("model")
    try:
        await request.app[CHANGE_DESK].remove_route(model, asked(request, fields))
    except StaleChangeError as error:
        return await _render(request, fields, meanwhile(request, fields.number("revision") or 0), error.status)
    except InvalidRequestError as error:
        return _refused(request, model, error)
    raise back(request, "reverted")


async def _render(
    request: web.Request, fields: Fields, stale: Meanwhile | None = None, status: int = 200
) -> web.Response:
    model = fields.text("model")
    try:
        foreseen = await request.app[CHANGE_DESK].remove_route(model, asked(request, fields, dry_run=True))
    except InvalidRequestError as error:
        return _refused(request, model, error)
    diff = foreseen.routes[0]
    context = {
        "model": model,
        "reason": fields.text("reason"),
        "foreseen": foreseen,
        "compared": compare(diff.before, diff.after),
        "has_config": diff.after is not None,
        "stale": stale,
        "refused": None,
    }
    return render(request, "revert.html", context, tab=Tab.ROUTES, status=status)


def _refused(request: web.Request, model: str, refused: InvalidRequestError) -> web.Response:
    context = {"model": model, "refused": refused, "has_config": True}
    return render(request, "revert.html", context, tab=Tab.ROUTES, status=refused.status)
