"""Wires the admin application together: every path it answers stands in `_add_paths`."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from proxy.admin import api, change_api, pages
from proxy.admin.answers import add_security_headers, answer_errors
from proxy.admin.change_desk import NO_AUDIT, Audit, ChangeDesk
from proxy.admin.desk import Desk
from proxy.admin.drain_desk import DrainDesk
from proxy.admin.endpoints import NO_TRAFFIC, NOTHING_KNOWN, EndpointReadings, Traffic
from proxy.admin.expiry import Expirer
from proxy.admin.guard import build_guard
from proxy.admin.idempotency import ANSWERS, Answers
from proxy.admin.keys import CHANGE_DESK, DESK, DRAIN_DESK, EXPOSE, PREFLIGHT, RELOAD, Expose, Reload
from proxy.admin.preflight import preflight as try_endpoints
from proxy.admin.static_files import StaticFiles
from proxy.config import Current
from proxy.routing import DynamicRoutingTable
from proxy.upstream import Preflight

_HERE = Path(__file__).parent


def build_admin(  # noqa: PLR0913 - it is wired to most of the program
    table: DynamicRoutingTable,
    current: Current,
    reload: Reload,
    expose: Expose,
    preflight: Preflight,
    *,
    readings: EndpointReadings = NOTHING_KNOWN,
    traffic: Traffic = NO_TRAFFIC,
    audit: Audit = NO_AUDIT,
) -> web.Application:
    """The admin application, to be mounted below `/admin` with `add_subapp`.

    Args:
        table: the routing table that it shows and changes.
        current: the settings in force, of which the providers and the token count here.
        reload: reads the configuration anew.
        expose: gives the metrics.
        preflight: tries endpoints out.
        readings: how the endpoints are.
        traffic: the requests under way.
        audit: where changes are written down before they are in force.
    """
    app = web.Application(middlewares=[answer_errors, build_guard(current)])
    app[DESK] = desk = Desk(table, current, readings)
    app[CHANGE_DESK] = changes = ChangeDesk(desk, table, current, readings=readings, traffic=traffic, audit=audit)
    app[DRAIN_DESK] = DrainDesk(changes, current)
    app[ANSWERS] = Answers()
    app.cleanup_ctx.append(_expiring)
    app[RELOAD] = reload
    app[EXPOSE] = expose
    app[PREFLIGHT] = preflight
    app.on_response_prepare.append(add_security_headers)
    _load_templates(app)
    _add_paths(app.router)
    return app


def build_metrics(current: Current, expose: Expose) -> web.Application:
    """The metrics alone, behind the same guard, to be mounted at `/metrics`, where Prometheus looks for them.

    Args:
        current: the settings in force, of which the token counts here.
        expose: gives the metrics.
    """
    app = web.Application(middlewares=[answer_errors, build_guard(current)])
    app[EXPOSE] = expose
    app.on_response_prepare.append(add_security_headers)
    app.router.add_get("", api.metrics)
    return app


async def _expiring(app: web.Application) -> AsyncIterator[None]:
    """While the application runs, what is temporary takes itself back; what is being changed at its end still is."""
    async with Expirer(app[CHANGE_DESK]):
        yield
    await app[CHANGE_DESK].close()


def _add_paths(router: web.UrlDispatcher) -> None:
    router.add_get("", pages.to_page)
    router.add_get("/", pages.show, name="page")
    router.add_post("/set", pages.set_route, name="set")
    router.add_post("/remove", pages.remove_route, name="remove")
    router.add_get("/static/{filename}", StaticFiles(_HERE / "static").answer, name="static")

    router.add_get("/routes", api.list_routes)
    router.add_post("/routes", change_api.set_route)
    router.add_post("/routes:batch", change_api.batch)
    # (?s:…) so that a name with an encoded line break is refused as such, not as an unknown path.
    router.add_delete("/routes/{model:(?s:.+)}", change_api.remove_route)
    router.add_post("/routes/{model:(?s:.+)}/rollback", change_api.rollback_route)
    router.add_post("/rollback", change_api.rollback)
    router.add_get("/history", change_api.history)
    router.add_get("/providers", change_api.list_providers)
    router.add_post("/providers/{name}/drain", change_api.drain)
    router.add_post("/providers/{name}/restore", change_api.restore)
    router.add_post("/preflight", try_endpoints)
    router.add_get("/resolve", api.resolve)
    router.add_get("/metrics", api.metrics)
    router.add_post("/reload", api.reload)


def _load_templates(app: web.Application) -> None:
    """Read and compile every template now: nothing is read from disk while requests wait."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    for name in environment.list_templates():
        environment.get_template(name)
