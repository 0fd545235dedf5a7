"""What happened: one record per request, and the access log and the metrics made of it."""

from proxy.telemetry.alarms import Alarms
from proxy.telemetry.log import logging_to_stderr
from proxy.telemetry.outcome import STALL_S, Attempt, Ending, Outcome
from proxy.telemetry.readings import Readings
from proxy.telemetry.telemetry import Telemetry

__all__ = ["STALL_S", "Alarms", "Attempt", "Ending", "Outcome", "Readings", "Telemetry", "logging_to_stderr"]
