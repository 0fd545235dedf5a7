"""The calls of the admin API. Each reads its request, asks the desk, and answers in JSON."""

from urllib.parse import unquote

import msgspec
from aiohttp import hdrs, web

from proxy.admin.answers import answer
from proxy.admin.bodies import read_body
from proxy.admin.keys import DESK, EXPOSE, RELOAD
from proxy.admin.payloads import ErrorAnswer, ErrorDetail, RouteBody, decode
from proxy.admin.preflight import refuse_for, try_out
from proxy.config import ConfigError
from proxy.errors import InvalidRequestError


async def list_routes(request: web.Request) -> web.Response:
    """`GET /routes`: every route in force."""
    routes = request.app[DESK].routes()
    response = answer(routes)
    response.headers[hdrs.ETAG] = f'"{routes.revision}"'
    return response


async def set_route(request: web.Request) -> web.Response:
    """`POST /routes`: create or replace a dynamic route."""
    route = decode(await read_body(request, "application/json"), RouteBody)
    desk = request.app[DESK]
    if not (route.preflight or route.require_preflight):
        return answer(desk.set_route(route))
    trials = await try_out(request, route.endpoints)
    if route.require_preflight and (refusal := refuse_for(trials)):
        return answer(refusal, status=422)
    return answer(msgspec.structs.replace(desk.set_route(route), preflight=trials))


async def remove_route(request: web.Request) -> web.Response:
    """`DELETE /routes/{model}`: remove a dynamic route."""
    return answer(request.app[DESK].remove_route(_model_in_path(request)))


async def resolve(request: web.Request) -> web.Response:
    """`GET /resolve?model=NAME`: where a request for the model would go, and why."""
    if not (model := request.query.get("model", "")):
        raise InvalidRequestError("Name the model to resolve: ?model=NAME.")
    return answer(request.app[DESK].resolve(model))


async def reload(request: web.Request) -> web.Response:
    """`POST /reload`: read the configuration anew and put it in force; 400 with every fault if it can't be."""
    try:
        return answer(await request.app[RELOAD]())
    except ConfigError as error:
        message = f"The configuration can't be used, so nothing has changed. Faults: {len(error.faults)}."
        return answer(ErrorAnswer(ErrorDetail(message, tuple(error.faults))), status=400)


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: what Prometheus scrapes."""
    body = await request.app[EXPOSE]()
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: "text/plain; version=0.0.4; charset=utf-8"})


def _model_in_path(request: web.Request) -> str:
    """The rest of the raw path behind the route's own part, decoded once.

    aiohttp's `match_info` keeps what is no UTF-8 as it stands, so that two paths could mean one name there.
    """
    resource = request.match_info.route.resource
    assert resource is not None  # noqa: S101 - only a route that matched has a handler
    slashes = resource.canonical.partition("{")[0].count("/")
    raw = request.rel_url.raw_path.split("/", slashes)[slashes]
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequestError("The model's name in the path is not percent-encoded UTF-8.") from None
