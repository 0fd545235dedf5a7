"""The access log: one line per request, whatever became of it."""

import logging
import time

from proxy.telemetry.outcome import Outcome
from proxy.wire import Tokens

_log = logging.getLogger("pointsman.access")


def write_line(outcome: Outcome) -> None:
    """Write a request's line. Anything that a client chose is quoted, so that it can't forge a line."""
    if not _log.isEnabledFor(logging.INFO):
        return
    target, first_byte_s = outcome.target, outcome.first_byte_s
    tokens = Tokens(None, None) if outcome.usage is None else outcome.usage.tokens()
    _log.info(
        "%s %s %s %d model=%s target=%s attempts=%d first_byte=%s total=%.0fms bytes=%d tokens=%s/%s %s%s id=%s",
        outcome.client,
        outcome.method,
        ascii(outcome.path)[1:-1],
        outcome.status,
        "-" if outcome.model is None else ascii(outcome.model),
        "-" if target is None else ascii(f"{target.provider_name}:{target.model_id}"),
        len(outcome.attempts),
        "-" if first_byte_s is None else f"{first_byte_s * 1000:.0f}ms",
        (time.monotonic() - outcome.started) * 1000,
        outcome.body_bytes,
        "-" if tokens.input is None else tokens.input,
        "-" if tokens.output is None else tokens.output,
        outcome.ending,
        "" if outcome.error is None else f" error={outcome.error!a}",
        outcome.id,
    )
