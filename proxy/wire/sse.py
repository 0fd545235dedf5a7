"""Server-sent events in passing: where one ends, and how a broken stream is told in each protocol.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import msgspec

from proxy.errors import Protocol, ProxyError, error_body

_BLANK_LINES = (b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n", b"\r\n\n", b"\n\r", b"\r\n\r", b"\r\r\n")
_LONGEST = 4


class EventBoundary:
    """Watches a stream of events go by.

    Attributes:
        at_boundary: whether what has gone by ends with a complete event, so that another can follow.
    """

    __slots__ = ("_tail", "at_boundary")

    def __init__(self) -> None:
        self._tail = b""
        self.at_boundary = True

    def feed(self, chunk: bytes) -> None:
        """Look at the end of the next piece of the stream."""
        self._tail = chunk[-_LONGEST:] if len(chunk) >= _LONGEST else (self._tail + chunk)[-_LONGEST:]
        self.at_boundary = self._tail.endswith(_BLANK_LINES)


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
