"""What happened: one record per request, and the access log, the metrics and the spans made of it."""

from proxy.telemetry.alarms import Alarms
from proxy.telemetry.events import EventKind
from proxy.telemetry.feed import Feed, SlowListenerError, Wish
from proxy.telemetry.log import logging_to_stderr
from proxy.telemetry.outcome import STALL_S, Attempt, Ending, Outcome
from proxy.telemetry.readings import Readings
from proxy.telemetry.recent import RequestFilter
from proxy.telemetry.request_view import RequestView, view_of
from proxy.telemetry.shadow import ShadowFigures, ShadowRecord, ShadowSide
from proxy.telemetry.telemetry import Telemetry
from proxy.telemetry.trace import RequestSpan
from proxy.telemetry.tracer import Tracer, TracingError

__all__ = [
    "STALL_S",
    "Alarms",
    "Attempt",
    "Ending",
    "EventKind",
    "Feed",
    "Outcome",
    "Readings",
    "RequestFilter",
    "RequestSpan",
    "RequestView",
    "ShadowFigures",
    "ShadowRecord",
    "ShadowSide",
    "SlowListenerError",
    "Telemetry",
    "Tracer",
    "TracingError",
    "Wish",
    "logging_to_stderr",
    "view_of",
]
