"""What the admin application holds for its handlers."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from proxy.admin.access.audit import AuditTrail
from proxy.admin.access.gate import Gate
from proxy.admin.changes.desk import ChangeDesk
from proxy.admin.changes.drains import DrainDesk
from proxy.admin.desk import Desk
from proxy.admin.overview import Overview
from proxy.admin.payloads import Reloaded
from proxy.telemetry import Telemetry
from proxy.upstream import Preflight

Reload = Callable[[], Awaitable[Reloaded]]
"""Reads the configuration anew; raises `ConfigError` and changes nothing if it can't be used."""

Expose = Callable[[], Awaitable[bytes]]
"""Gives the metrics in Prometheus' text format."""

DESK = web.AppKey("desk", Desk)
CHANGE_DESK = web.AppKey("change_desk", ChangeDesk)
DRAIN_DESK = web.AppKey("drain_desk", DrainDesk)
GATE = web.AppKey("gate", Gate)
OVERVIEW = web.AppKey("overview", Overview)
EXPOSE: web.AppKey[Expose] = web.AppKey("expose")
PREFLIGHT = web.AppKey("preflight", Preflight)
TRAIL = web.AppKey("trail", AuditTrail)
RELOAD: web.AppKey[Reload] = web.AppKey("reload")
TELEMETRY = web.AppKey("telemetry", Telemetry)
