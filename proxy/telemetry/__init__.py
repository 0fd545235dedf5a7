"""What happened: one record per request, and the access log made of it."""

from proxy.telemetry.alarms import Alarms
from proxy.telemetry.log import logging_to_stderr
from proxy.telemetry.outcome import Attempt, Ending, Outcome
from proxy.telemetry.telemetry import Telemetry

__all__ = ["Alarms", "Attempt", "Ending", "Outcome", "Telemetry", "logging_to_stderr"]
