"""Wires the admin application together: every path it answers stands in `_add_paths`."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from proxy.admin import login
from proxy.admin.access.actor import Role
from proxy.admin.access.audit import AuditTrail, build_witness
from proxy.admin.access.gate import Clock, Gate
from proxy.admin.access.guard import build_guard
from proxy.admin.answers import add_security_headers, answer_errors
from proxy.admin.api import reading
from proxy.admin.api.calls import CALLS
from proxy.admin.api.idempotency import ANSWERS, Answers
from proxy.admin.api.openapi import Document
from proxy.admin.changes.desk import ChangeDesk
from proxy.admin.changes.drains import DrainDesk
from proxy.admin.changes.expiry import Expirer
from proxy.admin.changes.shift_guard import NOTHING_WATCHED, Watching
from proxy.admin.changes.shift_payloads import Judgement
from proxy.admin.changes.shifter import Ring, Shifter, nobody_hears
from proxy.admin.desk import Desk
from proxy.admin.endpoints import NO_TRAFFIC, NOTHING_KNOWN, EndpointReadings, Traffic
from proxy.admin.keys import (
    CHANGE_DESK,
    DESK,
    DRAIN_DESK,
    EXPOSE,
    GATE,
    OVERVIEW,
    PREFLIGHT,
    RELOAD,
    TRAIL,
    Expose,
    Reload,
)
from proxy.admin.overview import Overview
from proxy.admin.page_templates import load_templates
from proxy.admin.pages import add_pages
from proxy.admin.paths import Paths, add_call
from proxy.admin.static_files import StaticFiles
from proxy.config import Current
from proxy.routing import DynamicRoutingTable
from proxy.upstream import Preflight

_HERE = Path(__file__).parent
_SHIFTER = web.AppKey("shifter", Shifter)


def build_admin(  # noqa: PLR0913 - it is wired to most of the program
    table: DynamicRoutingTable,
    current: Current,
    reload: Reload,
    expose: Expose,
    preflight: Preflight,
    *,
    readings: EndpointReadings = NOTHING_KNOWN,
    traffic: Traffic = NO_TRAFFIC,
    watching: Watching = NOTHING_WATCHED,
    ring: Ring = nobody_hears,
    clock: Clock = time.monotonic,
) -> web.Application:
    """The admin application, to be mounted below `/admin` with `add_subapp`.

    Args:
        table: the routing table that it shows and changes.
        current: the settings in force, of which the providers and the tokens count here.
        reload: reads the configuration anew.
        expose: gives the metrics.
        preflight: tries endpoints out.
        readings: how the endpoints are.
        traffic: the requests under way.
        watching: begins to watch what becomes of attempts, for the guard of shifts.
        ring: told of each shift that takes itself back.
        clock: tells how much time has passed, in seconds, for the sessions' ends.
    """
    app = _guarded(current, clock)
    judgements: dict[str, Judgement] = {}
    app[DESK] = desk = Desk(table, current, readings, judgements)
    app[CHANGE_DESK] = changes = ChangeDesk(desk, table, current, readings=readings, traffic=traffic, audit=app[TRAIL])
    app[_SHIFTER] = Shifter(changes, readings, watching, ring, judgements)
    app[DRAIN_DESK] = DrainDesk(changes, current)
    app[OVERVIEW] = Overview(table, current)
    app[ANSWERS] = Answers()
    app.cleanup_ctx.append(_going_on)
    app[RELOAD] = reload
    app[EXPOSE] = expose
    app[PREFLIGHT] = preflight
    load_templates(app, _HERE / "templates")
    _add_paths(app)
    return app


def build_metrics(current: Current, expose: Expose) -> web.Application:
    """The metrics alone, behind the same guard, to be mounted at `/metrics`, where Prometheus looks for them.

    Args:
        current: the settings in force, of which the tokens count here.
        expose: gives the metrics.
    """
    app = _guarded(current)
    app[EXPOSE] = expose
    Paths(app, Role.VIEWER).add_get("", reading.metrics)
    return app


async def _going_on(app: web.Application) -> AsyncIterator[None]:
    """While the application runs, what is temporary takes itself back, and shifts go on.

    What is under way at its end is still done.
    """
    async with Expirer(app[CHANGE_DESK]), app[_SHIFTER]:
        yield
    await app[CHANGE_DESK].close()
    await app[TRAIL].close()


def _guarded(current: Current, clock: Clock = time.monotonic) -> web.Application:
    """An application into which nobody comes past the guard."""
    gate = Gate(current, clock)
    trail = AuditTrail(current, clock)
    app = web.Application(middlewares=[answer_errors, build_witness(trail), build_guard(gate)])
    app[GATE] = gate
    app[TRAIL] = trail
    app.on_response_prepare.append(add_security_headers)
    return app


def _add_paths(app: web.Application) -> None:
    """Each path with the role that it takes; what is not here, nobody may use."""
    everybody, viewers = Paths(app, None), Paths(app, Role.VIEWER)
    operators = Paths(app, Role.OPERATOR)

    everybody.add_get("/login", login.show, name="login")
    everybody.add_form("/login", login.log_in)
    everybody.add_get("/static/{filename}", StaticFiles(_HERE / "static").answer, name="static")
    viewers.add_form("/logout", login.log_out, name="logout")

    add_pages(viewers, operators)

    for call in (*CALLS, Document().call):
        add_call(app, call)
