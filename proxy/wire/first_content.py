"""Where a stream of events gets serious: what comes before its first content, and errors told in the place of it.

Until then nothing is lost if the stream is asked for anew elsewhere. What announces an answer without being any of it
is the preamble: comments, `response.created`, `message_start`, deltas that name a role alone. Whatever isn't known to
be preamble is content, so that a stream is never held back for being unusual.

https://platform.openai.com/docs/api-reference/responses-streaming,
https://platform.openai.com/docs/api-reference/chat-streaming, https://platform.claude.com/docs/en/api/messages-streaming
"""

import re
from enum import Enum, auto

import msgspec

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DONE = b"[DONE]"
_PREAMBLE = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_summary_part.added",
        "message_start",
        "content_block_start",
        "keepalive",
        "ping",
    }
)
_ERRORS = frozenset({"error", "response.failed"})


class Stage(Enum):
    """How far a stream has come."""

    PREAMBLE = auto()
    CONTENT = auto()
    ERROR = auto()


class _Choice(msgspec.Struct):
    delta: dict[str, object] | None = None
    text: str | None = None
    finish_reason: object = None


class _Event(msgspec.Struct):
    type: str | None = None
    error: object = None
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Event).decode


class Preamble:
    """Reads the beginning of one stream of events."""

    __slots__ = ("_rest", "_stage")

    def __init__(self) -> None:
        self._rest = b""
        self._stage = Stage.PREAMBLE

    def feed(self, piece: bytes) -> Stage:
        """Read on; tells what the stream has come to with this piece, and stays with that."""
        if self._stage is not Stage.PREAMBLE:
            return self._stage
        *events, self._rest = _EVENT_END.split(self._rest + piece)
        for event in events:
            self._stage = _stage_of(event)
            if self._stage is not Stage.PREAMBLE:
                break
        return self._stage


def _stage_of(event: bytes) -> Stage:
    lines = [line[5:] for line in event.splitlines() if line.startswith(b"data:")]
    data = b"\n".join(lines)
    if not data or data.strip() == _DONE:
        return Stage.PREAMBLE
    try:
        read = _decode(data)
    except msgspec.MsgspecError:
        return Stage.CONTENT
    if read.error or read.type in _ERRORS:
        return Stage.ERROR
    if read.type in _PREAMBLE:
        return Stage.PREAMBLE
    if read.choices is None:
        return Stage.CONTENT
    return Stage.CONTENT if any(map(_has_content, read.choices)) else Stage.PREAMBLE


def _has_content(choice: _Choice) -> bool:
    delta = choice.delta or {}
    said = any(value for name, value in delta.items() if name != "role")
    return bool(said or choice.text or choice.finish_reason)


def ends_in_error(stream: bytes) -> bool:
    """Whether the last event of a stream, or of as much of its end as this is, tells an error."""
    events = [event for event in _EVENT_END.split(stream) if event.strip()]
    return bool(events) and _stage_of(events[-1]) is Stage.ERROR
