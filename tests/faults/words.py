"""What a healthy provider says, in the protocols of the two official SDKs."""

import json
from typing import NamedTuple

from proxy.errors import Protocol


class Words(NamedTuple):
    """An answer, whole or in the parts of a stream.

    Attributes:
        is_stream: whether it is a stream of events.
        kind: its media type.
        opening: what comes before the first content; nothing where it isn't a stream.
        content: the content, or its first half where it isn't a stream.
        ending: the rest.
        error: a stream's event that tells an error.
    """

    is_stream: bool
    kind: bytes
    opening: bytes
    content: bytes
    ending: bytes
    error: bytes

    @property
    def all(self) -> bytes:
        """The whole answer."""
        return self.opening + self.content + self.ending


def words_of(request: bytes) -> Words:
    """What to answer to a request's body."""
    asked = json.loads(request)
    # Only Anthropic's protocol demands the field, and the tests leave it away in the other.
    protocol = Protocol.ANTHROPIC if "max_tokens" in asked else Protocol.OPENAI
    return WORDS[protocol, bool(asked.get("stream"))]


def _whole(answer: dict[str, object]) -> Words:
    body = json.dumps(answer).encode()
    half = len(body) // 2
    return Words(False, b"application/json", b"", body[:half], body[half:], b"")


def _stream(opening: bytes, content: bytes, ending: bytes, error: bytes) -> Words:
    return Words(True, b"text/event-stream", opening, content, ending, error)


def _chunk(delta: dict[str, str]) -> bytes:
    choices = [{"index": 0, "delta": delta}]
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: %b\n\n" % json.dumps(chunk).encode()


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


_CLAUDE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
_CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "well"}}

WORDS = {
    (Protocol.OPENAI, False): _whole(
        {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [_CHOICE]}
    ),
    (Protocol.OPENAI, True): _stream(
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": "well"}),
        b"data: [DONE]\n\n",
        b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n',
    ),
    (Protocol.ANTHROPIC, False): _whole({**_CLAUDE, "content": [{"type": "text", "text": "well"}]}),
    (Protocol.ANTHROPIC, True): _stream(
        _event("message_start", message={**_CLAUDE, "content": []})
        + _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "well"}),
        _event("content_block_stop", index=0) + _event("message_stop"),
        _event("error", error={"type": "overloaded_error", "message": "overloaded"}),
    ),
}
