"""The access log: one line per request, whatever became of it, as text or as JSON.

Never a body, a query, a header or a secret. Whatever a client chose is escaped to ASCII, so that it can't forge a line.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Final

from proxy.config import AccessLog
from proxy.telemetry.log import BARE
from proxy.telemetry.outcome import Attempt, Outcome

_log: Final = logging.getLogger("pointsman.access")


def write_line(outcome: Outcome, form: AccessLog) -> None:
    """Write the line of a request that is over, as text or as JSON."""
    if not _log.isEnabledFor(logging.INFO):
        return
    if form is AccessLog.JSON:
        _log.info("%s", json.dumps(_fields(outcome), separators=(",", ":")), extra=BARE)
        return
    target, first_byte_s, tokens = outcome.target, outcome.first_byte_s, outcome.tokens
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
        outcome.duration_s * 1000,
        outcome.body_bytes,
        "-" if tokens.input is None else tokens.input,
        "-" if tokens.output is None else tokens.output,
        outcome.ending,
        "" if outcome.error is None else f" error={outcome.error!a}",
        outcome.id,
    )


def _fields(outcome: Outcome) -> dict[str, object]:
    tokens = outcome.tokens
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "id": outcome.id,
        "client": outcome.client,
        "method": outcome.method,
        "path": outcome.path,
        "model": outcome.model,
        "source": outcome.source,
        "revision": outcome.revision,
        "is_panic": outcome.is_panic,
        "attempts": [_attempt(attempt) for attempt in outcome.attempts],
        "status": outcome.status,
        "first_byte_ms": _ms(outcome.first_byte_s),
        "total_ms": _ms(outcome.duration_s),
        "bytes": outcome.body_bytes,
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "stalls": outcome.stalls,
        "ending": outcome.ending,
        "cause": outcome.cause if outcome.has_failed else None,
        "error": outcome.error,
    }


def _attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "provider": attempt.target.provider_name,
        "model_id": attempt.target.model_id,
        "failure": attempt.failure,
        "reason": attempt.reason,
        "status": attempt.status,
        "first_byte_ms": _ms(attempt.first_byte_s),
        "ms": _ms(attempt.duration_s),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
