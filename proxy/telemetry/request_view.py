"""One request as an operator sees it: what its record tells, and why it went where it went. Never a body."""

import time
from datetime import UTC, datetime

import msgspec

from proxy.telemetry.outcome import Attempt, Outcome
from proxy.telemetry.why import why, why_attempts

_PATH_CHARS = 200


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One try at a target.

    Attributes:
        why: it was made, as the end of a sentence.
        status: of the provider's answer; 0 without one.
        failure: why it failed, in one word, and `reason` in words; None if it didn't.
        started_ms: from the request's arrival.
        first_byte_ms: from the attempt's start to the head of the answer.
    """

    provider: str
    model_id: str
    why: str
    status: int
    failure: str | None
    reason: str | None
    started_ms: float
    first_byte_ms: float | None
    duration_ms: float | None


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """One request that is over.

    Attributes:
        time: when it was over, ISO 8601, UTC.
        source: where the route came from; None if there was none.
        status: of the answer; 0 if none was begun.
        cause: why it failed, in one word, and `error` in words; None if it didn't.
        first_byte_ms: from its arrival to the head of the answer that the client got.
        bytes: of the answer's body.
    """

    id: str
    time: str
    client: str
    method: str
    path: str
    model: str | None
    source: str | None
    strategy: str | None
    revision: int
    why: str
    attempts: tuple[AttemptView, ...]
    is_panic: bool
    status: int
    ending: str
    failed: bool
    cause: str | None
    error: str | None
    first_byte_ms: float | None
    duration_ms: float
    bytes: int
    input_tokens: int | None
    output_tokens: int | None
    stalls: int


def view_of(outcome: Outcome) -> RequestView:
    """What there is to see of a request."""
    over_at = time.time() - (time.monotonic() - outcome.ended)
    resolution, tokens, failed = outcome.resolution, outcome.tokens, outcome.has_failed
    return RequestView(
        id=outcome.id,
        time=datetime.fromtimestamp(over_at, UTC).isoformat(timespec="milliseconds"),
        client=outcome.client,
        method=outcome.method,
        path=_plain(outcome.path[:_PATH_CHARS]),
        model=outcome.model,
        source=outcome.source,
        strategy=None if resolution is None else resolution.strategy,
        revision=outcome.revision,
        why=why(outcome),
        attempts=tuple(
            _attempt(outcome, attempt, reason)
            for attempt, reason in zip(outcome.attempts, why_attempts(outcome), strict=True)
        ),
        is_panic=outcome.is_panic,
        status=outcome.status,
        ending=outcome.ending,
        failed=failed,
        cause=outcome.cause if failed else None,
        error=None if outcome.error is None else _plain(outcome.error),
        first_byte_ms=_ms(outcome.first_byte_s),
        duration_ms=round(outcome.duration_s * 1000, 1),
        bytes=outcome.body_bytes,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        stalls=outcome.stalls,
    )


def _attempt(outcome: Outcome, attempt: Attempt, reason: str) -> AttemptView:
    return AttemptView(
        provider=attempt.target.provider_name,
        model_id=attempt.target.model_id,
        why=reason,
        status=attempt.status,
        failure=attempt.failure,
        reason=attempt.reason,
        started_ms=round((attempt.started - outcome.started) * 1000, 1),
        first_byte_ms=_ms(attempt.first_byte_s),
        duration_ms=_ms(attempt.duration_s),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _plain(text: str) -> str:
    """A client's own words, in what JSON can be encoded to."""
    return text.encode("utf-8", "replace").decode()
