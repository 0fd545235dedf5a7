"""What the proxy tells of itself: whether it is well, and what can be asked for here.

`GET /v1/models`, `/v1/models/{id}`, `/v1/routes`; `/healthz`, `/readyz` and `/`. All other requests that reach the
application learn here that there is nothing.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

import msgspec
from aiohttp import hdrs, web

from proxy.errors import MethodNotAllowedError, NotFoundError, Protocol, ProxyError, UnknownModelError, error_body
from proxy.routing import DynamicRoutingTable, ModelEntry
from proxy.routing.names import neighbours
from proxy.telemetry import Ending, Outcome, Telemetry

# A client's own prefix (`/openai/v1/models`) doesn't count.
_MODELS = re.compile(r"(?:/.*)?/v1/models(?:/(?P<id>.+))?")
_ROUTES = re.compile(r"(?:/.*)?/v1/routes")

Listed = dict[str, object]


class Discovery:
    """Answers what names no model.

    Args:
        table: where models lead.
        is_ready: tells whether this process takes traffic.
        telemetry: takes in what became of each request.
    """

    def __init__(self, table: DynamicRoutingTable, is_ready: Callable[[], bool], telemetry: Telemetry) -> None:
        self._table = table
        self._is_ready = is_ready
        self._telemetry = telemetry

    def application(self) -> web.Application:
        """An application that sends every request here, unless something is mounted at its path."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        reads = request.method in {hdrs.METH_GET, hdrs.METH_HEAD}
        if reads and (health := self._health(request.path)) is not None:
            return health
        outcome = self._telemetry.begin(request.remote or "-", request.method, request.rel_url.raw_path)
        try:
            response = self._answer(request, outcome, reads=reads)
            outcome.status = response.status
            outcome.ending = Ending.COMPLETE
        finally:
            self._telemetry.record(outcome)
        return response

    def _answer(self, request: web.Request, outcome: Outcome, *, reads: bool) -> web.Response:
        try:
            if not reads:
                raise MethodNotAllowedError(f"{request.method} names no model, so it can't be routed: use POST or GET.")
            return _discover(self._table, request.rel_url.raw_path, request.query)
        except ProxyError as error:
            outcome.fail(error)
            return _error_response(error, request, outcome.id)

    def _health(self, path: str) -> web.Response | None:
        match path:
            case "/":
                return web.Response(text="Pointsman is here. POST /v1/…, GET /v1/models, GET /healthz.\n")
            case "/healthz":
                return web.Response(text="ok\n")
            case "/readyz":
                return web.Response(text="ready\n") if self._is_ready() else web.Response(status=503, text="stopping\n")
        return None


def _error_response(error: ProxyError, request: web.Request, request_id: str) -> web.Response:
    is_anthropic = "anthropic-version" in request.headers
    return web.Response(
        status=error.status,
        body=error_body(error, Protocol.ANTHROPIC if is_anthropic else Protocol.OPENAI, request_id),
        content_type="application/json",
        headers={"x-request-id": request_id} | ({"Allow": "GET, HEAD, POST"} if error.status == 405 else {}),
    )


def _discover(table: DynamicRoutingTable, path: str, query: Mapping[str, str]) -> web.Response:
    """Answer a discovery request; raises `NotFoundError` for any other path and `UnknownModelError`."""
    if _ROUTES.fullmatch(path):
        return _json({"routes": table.list_routes()})
    if (models := _MODELS.fullmatch(path)) is None:
        raise NotFoundError(f"There is nothing at GET {path[:200]}: try /v1/models, /v1/routes or POST /v1/….")
    listed = _list_models(table)
    if models["id"] is not None:
        return _json(_one(listed, unquote(models["id"])))
    selected = [model for model in listed.values() if _matches(model, query)]
    return _json(
        {
            "object": "list",
            "data": selected,
            "has_more": False,
            "first_id": selected[0]["id"] if selected else None,
            "last_id": selected[-1]["id"] if selected else None,
        }
    )


def _list_models(table: DynamicRoutingTable) -> dict[str, Listed]:
    """Every routable name with what is known of it, sorted."""
    known = {entry.id: entry for entry in table.list_models()}
    return {
        route.model: _listed(known.get(route.model) or ModelEntry(route.model, route.provider), route.provider)
        for route in table.list_routes()
    }


def _listed(entry: ModelEntry, provider: str) -> Listed:
    """A model as OpenAI's list shows it, with the fields that Anthropic's SDK reads beside them.

    https://platform.openai.com/docs/api-reference/models/object, https://platform.claude.com/docs/en/api/models-list.
    The owner is who serves it now: a dynamic route may have moved it. When a model came into being is not known, so
    both protocols are told the beginning of time.
    """
    known = {name: value for name, value in msgspec.structs.asdict(entry).items() if value}
    return {
        "object": "model",
        "created": 0,
        "owned_by": provider,
        "type": "model",
        "display_name": entry.name or entry.id,
        "created_at": "1970-01-01T00:00:00Z",
        **known,
        "provider": provider,
    }


def _one(listed: Mapping[str, Listed], name: str) -> Listed:
    if name not in listed:
        raise UnknownModelError(name, neighbours(name, list(listed)))
    return listed[name]


def _matches(model: Listed, query: Mapping[str, str]) -> bool:
    return all(query[name] == model[name] for name in ("provider", "id") if name in query) and all(
        query[name] in _modalities(model, name) for name in ("input_modality", "output_modality") if name in query
    )


def _modalities(model: Listed, name: str) -> tuple[str, ...]:
    found = model.get(name.replace("modality", "modalities"), ())
    return found if isinstance(found, tuple) else ()


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
