"""The calls of the admin API beside those that change routes. Each reads its request, asks, and answers in JSON."""

from aiohttp import hdrs, web

from proxy.admin.access.actor import actor_of
from proxy.admin.answers import answer
from proxy.admin.api.parameters import LARGEST_PAGE, USUAL_PAGE, RoutesQuery
from proxy.admin.api.queries import number
from proxy.admin.keys import DESK, EXPOSE, RELOAD, TRAIL
from proxy.admin.payloads import ErrorAnswer, ErrorDetail
from proxy.config import ConfigError
from proxy.errors import InvalidRequestError


async def list_routes(request: web.Request) -> web.Response:
    """`GET /routes`: every route in force, or a page of those whose model has `q` in its name."""
    desk, query = request.app[DESK], request.query
    if query.keys() & set(RoutesQuery.__struct_fields__):
        limit = number(request, "limit", USUAL_PAGE, LARGEST_PAGE)
        routes = desk.find_routes(limit, query.get("after", ""), query.get("q", ""))
    else:
        routes = desk.routes()
    response = answer(routes)
    response.headers[hdrs.ETAG] = f'"{routes.revision}"'
    return response


async def resolve(request: web.Request) -> web.Response:
    """`GET /resolve?model=NAME`: where a request for the model would go, and why."""
    if not (model := request.query.get("model", "")):
        raise InvalidRequestError("Name the model to resolve: ?model=NAME.")
    return answer(request.app[DESK].resolve(model))


async def reload(request: web.Request) -> web.Response:
    """`POST /reload`: read the configuration anew and put it in force; 400 with every fault if it can't be."""
    trail, actor = request.app[TRAIL], actor_of(request)
    await trail.note(actor, "reload", outcome="begun")
    try:
        reloaded = await request.app[RELOAD]()
        await trail.tell(
            actor, "reload", revision=reloaded.revision, providers=reloaded.providers, models=reloaded.models
        )
        return answer(reloaded)
    except ConfigError as error:
        message = f"The configuration can't be used, so nothing has changed. Faults: {len(error.faults)}."
        return answer(ErrorAnswer(ErrorDetail(message, tuple(error.faults))), status=400)


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: what Prometheus scrapes."""
    body = await request.app[EXPOSE]()
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: "text/plain; version=0.0.4; charset=utf-8"})
