"""The sheet that swaps a route: what is typed, what it would change, and the button that puts it into force."""

from typing import NamedTuple

from aiohttp import web

from proxy.admin.api.preflight import try_out
from proxy.admin.changes.desk import StaleChangeError
from proxy.admin.changes.payloads import Changed
from proxy.admin.keys import CHANGE_DESK, DESK, OVERVIEW
from proxy.admin.layout import Tab, back, render
from proxy.admin.pages.asking import Meanwhile, asked, meanwhile
from proxy.admin.pages.draft import LIFETIMES, PACES, Draft
from proxy.admin.pages.fields import fields_of
from proxy.admin.pages.review import Comparison, compare
from proxy.config.settings import RouteStrategy
from proxy.errors import InvalidRequestError
from proxy.upstream import Trial


class Sheet(NamedTuple):
    """The sheet's state.

    Attributes:
        draft: what the form holds.
        revision: the table's version that it was reviewed on.
        foreseen: what the draft would change, once it has been reviewed.
        comparison: the same, side by side.
        trials: what came of trying its endpoints out, if they were.
        refused: why it can't be put into force.
        stale: what somebody else did since the review.
        is_edited: whether the form was edited since its review.
    """

    draft: Draft
    revision: int
    foreseen: Changed | None = None
    comparison: Comparison | None = None
    trials: tuple[Trial, ...] = ()
    refused: InvalidRequestError | None = None
    stale: Meanwhile | None = None
    is_edited: bool = False


async def show(request: web.Request) -> web.Response:
    """`GET /desk/swap?model=MODEL`: the sheet, filled in with the route in force."""
    desk = request.app[DESK]
    model = request.query.get("model", "")
    route = desk.find_route(model)
    draft = Draft(model) if route is None else Draft.of_route(route)._replace(pace=request.query.get("pace", ""))
    return _render(request, Sheet(draft, desk.revision))


async def answer(request: web.Request) -> web.Response:
    """`POST /desk/swap`: one of the sheet's buttons was pressed."""
    fields = await fields_of(request)
    step = fields.text("do")
    draft = Draft.of_fields(fields).arranged(step)
    sheet = Sheet(draft, fields.number("revision") or 0)
    try:
        body = draft.to_body(request.app[DESK].find_route(draft.model))
        foreseen = await request.app[CHANGE_DESK].set_route(body, asked(request, fields, dry_run=True))
        trials = await try_out(request, body.endpoints) if step == "preflight" else ()
    except InvalidRequestError as error:
        # Who is still arranging rows knows that they aren't ready.
        refused = error if step in {"review", "preflight", "confirm"} else None
        return _render(request, sheet._replace(refused=refused), error.status if refused else 200)
    sheet = sheet._replace(foreseen=foreseen, comparison=compare(foreseen.routes[0].before, foreseen.routes[0].after))
    if step != "confirm":
        return _render(request, sheet._replace(revision=foreseen.revision, trials=trials))
    if fields.text("reviewed") != draft.fingerprint():
        return _render(request, sheet._replace(is_edited=True), 409)
    try:
        await request.app[CHANGE_DESK].set_route(body, asked(request, fields))
    except StaleChangeError as error:
        stale = meanwhile(request, sheet.revision)
        return _render(request, sheet._replace(stale=stale, revision=error.revision), error.status)
    except InvalidRequestError as error:
        return _render(request, sheet._replace(refused=error), error.status)
    raise back(request, "set")


def _render(request: web.Request, sheet: Sheet, status: int = 200) -> web.Response:
    overview = request.app[OVERVIEW]
    providers = overview.providers()
    context = {
        "sheet": sheet,
        "draft": sheet.draft,
        "is_new": request.app[DESK].find_route(sheet.draft.model) is None,
        "providers": [provider.name for provider in providers],
        "known_ids": {provider.name: list(overview.uses(provider.name)) for provider in providers},
        "strategies": list(RouteStrategy),
        "lifetimes": LIFETIMES,
        "paces": PACES,
    }
    return render(request, "swap.html", context, tab=Tab.ROUTES, status=status)
