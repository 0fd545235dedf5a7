"""What happened: one record per request, and the access log made of it."""

from proxy.telemetry.log import logging_to_stderr
from proxy.telemetry.outcome import Ending, Outcome

__all__ = ["Ending", "Outcome", "logging_to_stderr"]
