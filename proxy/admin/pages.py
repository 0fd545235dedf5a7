"""The admin page: HTML that works without JavaScript. Its forms do what the API does, by the same desk.

A change that is accepted leads back to the page (303), so that reloading it changes nothing. One that is refused
shows the page again with the reason and with what was typed.
"""

from typing import NamedTuple, Self

from aiohttp import web
from msgspec import UNSET
from msgspec.structs import asdict

from proxy.admin.actor import actor_of
from proxy.admin.answers import render
from proxy.admin.change_desk import Asked
from proxy.admin.forms import read_form
from proxy.admin.keys import CHANGE_DESK, DESK
from proxy.admin.payloads import RouteInForce, convert_route
from proxy.config.settings import RouteStrategy
from proxy.errors import InvalidRequestError

_EMPTY_ROWS = 2

# What the page says after a change; the address only names one of these, so that no link can put words here.
_DONE = {
    "set": "The route is in force.",
    "removed": "The dynamic route is removed.",
}


class Row(NamedTuple):
    """One endpoint in the form, as typed."""

    provider: str = ""
    model_id: str = ""
    weight: str = ""


class RouteForm(NamedTuple):
    """The form that adds or replaces a dynamic route, as typed or pre-filled."""

    model: str = ""
    strategy: str = RouteStrategy.PRIORITY
    rows: tuple[Row, ...] = ()

    @classmethod
    def of_route(cls, route: RouteInForce) -> Self:
        """The form filled in with a route that is to be swapped."""
        rows = (Row(endpoint.provider, endpoint.model_id, str(endpoint.weight)) for endpoint in route.endpoints)
        return cls(route.model, route.strategy, tuple(rows))

    @classmethod
    def of_fields(cls, fields: list[tuple[str, str]]) -> Self:
        """The form as a browser sent it: each row's three fields repeat, in the rows' order."""

        def values(name: str) -> list[str]:
            return [value for field, value in fields if field == name]

        columns = (values(name) for name in Row._fields)
        rows = (Row(*row) for row in zip(*columns, strict=False))
        filled = tuple(row for row in rows if row.provider or row.model_id)
        return cls("".join(values("model")[:1]), "".join(values("strategy")[:1]), filled)

    def shown_rows(self) -> tuple[Row, ...]:
        """The rows to show: the filled ones and a few to fill in."""
        return (*self.rows, *[Row()] * _EMPTY_ROWS)

    def to_fields(self, in_force: RouteInForce | None) -> dict[str, object]:
        """The route as the API's body would name it; raises `InvalidRequestError`.

        What the form doesn't show, options and the contexts of endpoints, is as in the route that is in force.
        """
        endpoints = [_to_endpoint(number, row) for number, row in enumerate(self.rows, 1)]
        options: dict[str, object] = {}
        if in_force is not None:
            options = {} if in_force.options is UNSET else asdict(in_force.options)
            known = {(each.provider, each.model_id): each.max_input_tokens for each in in_force.endpoints}
            for row, endpoint in zip(self.rows, endpoints, strict=True):
                if context := known.get((row.provider, row.model_id)):
                    endpoint["max_input_tokens"] = context
        return {**options, "model": self.model, "strategy": self.strategy, "endpoints": endpoints}


def _to_endpoint(number: int, row: Row) -> dict[str, object]:
    if not row.provider:
        raise InvalidRequestError(f"Endpoint {number}: choose a provider.")
    if not row.model_id:
        raise InvalidRequestError(f"Endpoint {number}: name the model id to ask `{row.provider[:80]}` for.")
    try:
        weight = int(row.weight or "1")
    except ValueError:
        raise InvalidRequestError(f"Endpoint {number}: the weight must be a whole number from 1 on.") from None
    return {"provider": row.provider, "model_id": row.model_id, "weight": weight}


async def to_page(request: web.Request) -> web.Response:
    """`GET /admin`: the page's address ends with a slash."""
    raise web.HTTPFound(request.app.router["page"].url_for())


async def show(request: web.Request) -> web.Response:
    """`GET /admin/`: all routes, and the form, filled in with the route that `?swap=MODEL` names."""
    form = RouteForm()
    if model := request.query.get("swap"):
        route = request.app[DESK].find_route(model)
        form = RouteForm(model) if route is None else RouteForm.of_route(route)
    return _page(request, form, done=_DONE.get(request.query.get("done", "")))


async def set_route(request: web.Request) -> web.Response:
    """`POST /admin/set`: the form for a dynamic route was sent."""
    form = RouteForm.of_fields(await read_form(request))
    try:
        desk = request.app[DESK]
        route = convert_route(form.to_fields(desk.find_route(form.model)))
        await request.app[CHANGE_DESK].set_route(route, Asked(actor_of(request)))
    except InvalidRequestError as error:
        return _page(request, form, refused=error)
    raise _back(request, "set")


async def remove_route(request: web.Request) -> web.Response:
    """`POST /admin/remove`: a dynamic route's button was pressed."""
    model = dict(await read_form(request)).get("model", "")
    try:
        await request.app[CHANGE_DESK].remove_route(model, Asked(actor_of(request)))
    except InvalidRequestError as error:
        return _page(request, RouteForm(), not_removed=error)
    raise _back(request, "removed")


def _back(request: web.Request, done: str) -> web.HTTPSeeOther:
    return web.HTTPSeeOther(request.app.router["page"].url_for().with_query(done=done))


def _page(
    request: web.Request,
    form: RouteForm,
    *,
    done: str | None = None,
    refused: InvalidRequestError | None = None,
    not_removed: InvalidRequestError | None = None,
) -> web.Response:
    """The page as it stands now.

    Args:
        request: what it answers.
        form: what the form holds.
        done: what was changed a moment ago.
        refused: why the form's route was not accepted.
        not_removed: why a route was not removed.
    """
    desk = request.app[DESK]
    error = refused or not_removed
    context = {
        "table": desk.routes(),
        "providers": sorted(desk.providers),
        "strategies": list(RouteStrategy),
        "form": form,
        "done": done,
        "refused": refused,
        "not_removed": not_removed,
    }
    return render(request, "page.html", context, status=error.status if error else 200)
