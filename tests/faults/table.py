"""The matrix: each fault, and what is expected to come of it.

The names of exceptions are those of OpenAI's SDK.
"""

from proxy.upstream.breaker import BreakerState
from tests.faults import places, scripts
from tests.faults.client import ANSWER, HALF, NOTHING, Met
from tests.faults.observe import Fault, Mode, Row
from tests.faults.places import behind
from tests.faults.scripts import half, opening, status

_STAYS_CLOSED = (BreakerState.CLOSED, BreakerState.CLOSED)
_OPENS = (BreakerState.CLOSED, BreakerState.OPEN)
_OPENS_AT_ONCE = (BreakerState.OPEN, BreakerState.OPEN)
# Short, for what is meant to run into it; whatever is healthy has the usual time.
_SOON_S = 0.1

_Rows = dict[Mode, Row]


def _both(row: Row) -> _Rows:
    return dict.fromkeys(Mode, row)


def _streaming(row: Row) -> _Rows:
    return {Mode.STREAMING: row}


def _mended(
    every: str, *, retry: str = "true", breaker: tuple[BreakerState, BreakerState] = _OPENS, attempts: int = 2
) -> Row:
    """The second endpoint answers in the first one's place."""
    return Row(Met(ANSWER, 2), Met(every, attempts, retry), breaker)


def _the_same(gets: str, attempts: int = 1, breaker: tuple[BreakerState, BreakerState] = _STAYS_CLOSED) -> Row:
    """Nobody else is asked."""
    return Row(Met(gets, attempts), Met(gets, attempts), breaker)


_NO_ANSWER = _both(_mended("InternalServerError 502"))
_FINE = _the_same(ANSWER)
_BREAKS = {
    Mode.STREAMING: _the_same(HALF + "APIError", breaker=_OPENS),
    Mode.WHOLE: _the_same("APIConnectionError", breaker=_OPENS),
}
_NO_CONTENT = _streaming(_mended("InternalServerError 502"))

_SILENT = [
    Fault(
        "connecting takes longer than `connect_s`",
        places.unanswered_handshake,
        _both(_mended("InternalServerError 504")),
        {"connect_s": _SOON_S},
    ),
    Fault(
        "silence for `first_byte_s`",
        behind(scripts.silence),
        _both(_mended("InternalServerError 504", retry="false")),
        {"first_byte_s": _SOON_S},
    ),
]

_BEFORE_THE_HEAD = [
    Fault("connection refused", places.refused, _NO_ANSWER),
    Fault("the name can't be looked up", places.unknown_name, _NO_ANSWER),
    Fault("the TLS certificate is not trusted", places.untrusted, _NO_ANSWER),
    *_SILENT,
    Fault("closed before the head", behind(scripts.close), _NO_ANSWER),
    Fault("reset before the head", behind(scripts.reset), _NO_ANSWER),
    Fault("a status line that is none", behind(scripts.garbage), _NO_ANSWER),
    Fault("a head of 100 kB", behind(scripts.oversized_head), _NO_ANSWER),
    Fault("a chunk size that is none, together with the head", behind(scripts.bad_chunk_at_once), _NO_ANSWER),
    Fault(
        "a resting connection closes as the request comes",
        behind(scripts.keepalive_race),
        _both(_the_same(ANSWER, 2)),
        is_race=True,
    ),
]

_REFUSALS = [
    Fault("400", behind(status(400)), _both(_the_same("BadRequestError 400"))),
    Fault("401", behind(status(401)), _both(_mended("AuthenticationError 401", retry="false"))),
    Fault(
        "403", behind(status(403)), _both(_mended("PermissionDeniedError 403", retry="false", breaker=_STAYS_CLOSED))
    ),
    Fault("404", behind(status(404)), _both(_mended("NotFoundError 404", retry="false", breaker=_STAYS_CLOSED))),
    Fault("408", behind(status(408)), _both(_mended("APIStatusError 408"))),
    Fault("429", behind(status(429)), _both(_mended("RateLimitError 429"))),
    Fault(
        "429 with `Retry-After` in seconds",
        behind(status(429, scripts.retry_after_seconds)),
        _both(_mended("RateLimitError 429", breaker=_OPENS_AT_ONCE)),
    ),
    Fault(
        "429 with `Retry-After` as a date",
        behind(status(429, scripts.retry_after_date)),
        _both(_mended("RateLimitError 429", breaker=_OPENS_AT_ONCE)),
    ),
    *(
        Fault(str(code), behind(status(code)), _both(_mended(f"InternalServerError {code}")))
        for code in (500, 502, 503, 504, 529)
    ),
]

_BEFORE_THE_CONTENT = [
    Fault("an error as the first event", behind(scripts.error_first), _streaming(_mended("APIError"))),
    Fault("a 200 without any event", behind(scripts.empty), _NO_CONTENT),
    Fault("ends behind the preamble", behind(opening(then=scripts.end)), _NO_CONTENT),
    Fault("breaks off behind the preamble", behind(opening(then=scripts.close)), _NO_CONTENT),
    Fault(
        "stalls behind the preamble for `idle_s`",
        behind(opening(then=scripts.silence)),
        _streaming(_mended("InternalServerError 504")),
        {"idle_s": _SOON_S},
    ),
    Fault(
        "breaks off behind the head",
        behind(scripts.head_alone),
        {**_NO_CONTENT, Mode.WHOLE: _BREAKS[Mode.WHOLE]},
    ),
]

_IN_THE_MIDDLE = [
    Fault(
        "breaks off before its `Content-Length`",
        behind(half(then=scripts.close, framed=b"Content-Length: 9999\r\n")),
        _BREAKS,
    ),
    Fault("breaks off before its last chunk", behind(half(then=scripts.close)), _BREAKS),
    Fault("a chunk size that is none", behind(half(then=scripts.bad_chunk)), _BREAKS),
    Fault("reset", behind(half(then=scripts.reset)), _BREAKS),
    Fault("stalls for `idle_s`", behind(half(then=scripts.silence)), _BREAKS, {"idle_s": _SOON_S}),
    Fault("an error as a later event", behind(half(then=scripts.tell_error)), _streaming(_the_same(HALF + "APIError"))),
]

_NO_FAILURE = [
    Fault("a 103 before the head", behind(scripts.interim), _both(_FINE)),
    Fault("204", behind(scripts.bodiless(204)), _both(_the_same(NOTHING))),
    Fault("304", behind(scripts.bodiless(304)), _both(_the_same("APIStatusError 304"))),
    Fault("HTTP/1.0, ended by closing", behind(scripts.until_closed), _both(_FINE)),
    Fault("one byte at a time", behind(scripts.drip), _both(_FINE)),
    Fault("a line of 10 MB", behind(scripts.long_line), _streaming(_FINE)),
    *(
        Fault(
            f"compressed with {name.decode()}", behind(scripts.encoded(name, body)), _streaming(_FINE), is_encoded=True
        )
        for name, body in scripts.encodings().items()
    ),
]

MATRIX = {
    "Before the head of the answer": _BEFORE_THE_HEAD,
    "The provider's own errors": _REFUSALS,
    "A stream, before its first content": _BEFORE_THE_CONTENT,
    "In the middle of the answer": _IN_THE_MIDDLE,
    "Unusual, and no failure": _NO_FAILURE,
}
"""The faults, by where in an exchange they happen."""

FAULTS = [fault for faults in MATRIX.values() for fault in faults]

CLAUDE_FAULTS = [*_REFUSALS, *_BEFORE_THE_CONTENT, *_IN_THE_MIDDLE, *_SILENT]
"""Those of which a client learns in its own protocol; what happens below that is the same for all."""

CLAUDE_RAISES = {
    "APIError": "APIStatusError 200",
    "APIStatusError 408": "RequestTimeoutError 408",
    "InternalServerError 503": "ServiceUnavailableError 503",
    "InternalServerError 504": "GatewayTimeoutError 504",
    "InternalServerError 529": "OverloadedError 529",
}
"""What Anthropic's SDK raises where OpenAI's raises something else."""
