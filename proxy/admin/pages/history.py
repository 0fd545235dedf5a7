"""The history: what was changed, by whom and why; and the sheet that goes back to how things were."""

from aiohttp import web

from proxy.admin.changes.desk import StaleChangeError
from proxy.admin.changes.payloads import Changed, Changelog
from proxy.admin.keys import CHANGE_DESK, DESK
from proxy.admin.layout import Tab, back, render
from proxy.admin.pages.asking import asked, meanwhile
from proxy.admin.pages.fields import Fields, fields_of
from proxy.admin.pages.review import Comparison, compare
from proxy.errors import InvalidRequestError

_PAGE = 30
_MOST_COMPARED = 10
"""Of the routes that one change touches, those that are shown side by side."""


async def show(request: web.Request) -> web.Response:
    """`GET /desk/history?model=&before=`: the changes, newest first; with a model, those of its route."""
    model, before = request.query.get("model") or None, Fields(list(request.query.items())).number("before")
    page = request.app[DESK].history(_PAGE, before, model)
    context = {
        "page": page,
        "changes": [(change, _compared(change)) for change in page.changes],
        "model": model,
        "before": before,
    }
    return render(request, "history.html", context, tab=Tab.HISTORY)


async def show_rollback(request: web.Request) -> web.Response:
    """`GET /desk/rollback?to=REVISION`: what going back there would change."""
    return await _render(request, Fields([("to", request.query.get("to", ""))]))


async def rollback(request: web.Request) -> web.Response:
    """`POST /desk/rollback`: it was confirmed."""
    fields = await fields_of(request)
    try:
        await _ask(request, fields, dry_run=False)
    except StaleChangeError as error:
        return await _render(request, fields, error)
    except InvalidRequestError as error:
        return _page(request, fields, {"refused": error}, error.status)
    raise back(request, "rolled-back", Tab.HISTORY)


async def _ask(request: web.Request, fields: Fields, *, dry_run: bool) -> Changed:
    if (revision := fields.number("to")) is None:
        raise InvalidRequestError("Name the revision to go back to.")
    return await request.app[CHANGE_DESK].rollback(revision, asked(request, fields, dry_run=dry_run))


async def _render(request: web.Request, fields: Fields, stale: StaleChangeError | None = None) -> web.Response:
    try:
        foreseen = await _ask(request, fields, dry_run=True)
    except InvalidRequestError as error:
        return _page(request, fields, {"refused": error}, error.status)
    context = {
        "foreseen": foreseen,
        "compared": [(diff.model, compare(diff.before, diff.after)) for diff in foreseen.routes[:_MOST_COMPARED]],
        "stale": meanwhile(request, fields.number("revision") or 0) if stale else None,
        "refused": None,
    }
    return _page(request, fields, context, stale.status if stale else 200)


def _page(request: web.Request, fields: Fields, context: dict[str, object], status: int) -> web.Response:
    common = {"to": fields.text("to"), "reason": fields.text("reason")}
    return render(request, "rollback.html", common | context, tab=Tab.HISTORY, status=status)


def _compared(change: Changelog) -> list[tuple[str, Comparison]]:
    return [(edit.model, compare(edit.before, edit.after)) for edit in change.routes[:_MOST_COMPARED]]
