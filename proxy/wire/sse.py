"""Server-sent events in passing: where one ends, and how a broken stream is told in each protocol.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from typing import Final

import msgspec

from proxy.errors import Protocol, ProxyError, error_body
from proxy.wire.headers import Head

_BLANK_LINES: Final = (b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n", b"\r\n\n", b"\n\r", b"\r\n\r", b"\r\r\n")
BOUNDARY_BYTES: Final = 4
"""The longest of the blank lines that end an event."""


def has_plain_events(head: Head) -> bool:
    """Whether an answer with this head is a stream of events that can be read and added to: not compressed."""
    return (
        head.values.get(b"content-type", b"").startswith(b"text/event-stream")
        and b"content-encoding" not in head.values
    )


def ends_event(tail: bytes) -> bool:
    """Whether a stream that ends like this ends with a complete event, so that another can follow.

    Args:
        tail: the last `BOUNDARY_BYTES` of what has gone by, or more, or all of it.
    """
    return not tail or tail.endswith(_BLANK_LINES)


def error_event(error: ProxyError, protocol: Protocol, operation: str, request_id: str) -> bytes:
    """The event on which the protocol's official SDK raises."""
    if protocol is Protocol.ANTHROPIC:
        return b"event: error\ndata: " + error_body(error, protocol, request_id) + b"\n\n"
    if protocol is Protocol.OPENAI and operation == "responses":
        # The Responses API has its error at the top level of the event.
        event = {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "sequence_number": 0,
        }
        return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
    return b"data: " + error_body(error, protocol, request_id) + b"\n\n"
