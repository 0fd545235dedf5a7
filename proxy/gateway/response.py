"""Writing an answer to a client: framing, and what is left to do where it can't be ended as it should.

Whoever answers a request gets one `Response` for it, and gives it either a `whole` answer, or a head (`begin`), pieces
(`write`) and the `end`. An answer that was begun and not ended is cut, so that nobody takes it for a whole one.
"""

import asyncio
import socket
import struct
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final
from typing import Protocol as Interface

from proxy.errors import MethodNotAllowedError, Protocol, ProxyError, error_body
from proxy.gateway.request import Request
from proxy.outbox import JOINED_BYTES, Outbox

_CLOSE_END: Final = b"Connection: close\r\n\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_BODILESS: Final = frozenset({204, 304})
# SO_LINGER, on, for no time: a closed connection is reset.
_RESET: Final = struct.pack("ii", 1, 0)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# Clients see few of them; a provider's words that never come again push each other out.
@lru_cache(maxsize=64)
def _status_line(status: int, reason: bytes) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)


def date_line() -> bytes:
    """The `Date` of an answer that has none (RFC 9110 §6.6.1), as a line of its head."""
    return _date_line_at(int(time.time()))


@lru_cache(maxsize=1)
def _date_line_at(now_s: int) -> bytes:
    return f"Date: {formatdate(now_s, usegmt=True)}\r\n".encode()


class Source(Interface):
    """What an answer's pieces come from."""

    def pause(self) -> None:
        """The client takes less than it is sent: stop writing."""
        ...

    def resume(self) -> None:
        """The client has caught up."""
        ...


class Response:
    """The answer to one request.

    Args:
        transport: the connection to the client.
        outbox: what is written to clients.
        request: what is answered.

    Attributes:
        has_begun: whether any of it has been sent.
        is_complete: whether all of it has.
        is_last: whether the connection shall end with it.
        stays_open: whether another request may follow; settled when the answer begins.
        source: what to pause while the client can't keep up.
    """

    def __init__(
        self, transport: asyncio.Transport, outbox: Outbox, request: Request, *, is_last: bool = False
    ) -> None:
        self._transport = transport
        self._outbox = outbox
        self._request = request
        self.has_begun = False
        self.is_complete = False
        self.is_last = is_last
        self.stays_open = False
        self.source: Source | None = None
        self._is_chunked = False

    def whole(self, status: int, reason: bytes, lines: bytes, body: bytes) -> None:
        """Answer with a body that is all here; `lines` are the head's fields, without one that tells its length."""
        length = b"" if status in _BODILESS else b"Content-Length: %d\r\n" % len(body)
        head = self._head(status, reason, lines, length)
        if self._request.method == "HEAD":
            body = b""
        self.is_complete = True
        if len(body) <= JOINED_BYTES:
            self._outbox.write(self._transport, head + body)
        else:
            self._outbox.writelines(self._transport, (head, body))

    def begin(self, status: int, reason: bytes, lines: bytes, length: int | None, first: bytes) -> None:
        """Begin an answer whose body comes in pieces; without a `length` in bytes it goes in chunks.

        A client that speaks only HTTP/1.0 gets it without framing, up to the end of its connection. What is here of the
        body already, the `first` piece if there is one, goes out together with the head.
        """
        framing = b""
        if length is not None:
            framing = b"Content-Length: %d\r\n" % length
        elif status not in _BODILESS:
            if self._request.is_1_1:
                self._is_chunked = True
                framing = _CHUNKED
            else:
                self.is_last = True
        head = self._head(status, reason, lines, framing)
        if first and len(first) <= JOINED_BYTES:
            self._outbox.write(self._transport, head + (_chunk(first) if self._is_chunked else first))
            return
        self._outbox.write(self._transport, head)
        if first:
            self.write(first)

    def write(self, data: bytes) -> None:
        """Send the next piece, which is not empty."""
        self._send(data, b"")

    def end(self, last: bytes = b"") -> None:
        """Send the last piece, if there is one left, and say that the answer is complete."""
        self._send(last, _LAST_CHUNK)
        self.is_complete = True

    def raw(self, data: bytes) -> None:
        """Send bytes that are framed already."""
        self.has_begun = True
        self._outbox.write(self._transport, data)

    def error(self, error: ProxyError, protocol: Protocol | None, request_id: str) -> None:
        """Answer with an error of the proxy's own, in the shape of the client's protocol."""
        lines = f"Content-Type: application/json\r\nx-request-id: {request_id}\r\n"
        if error.retry_after_s is not None:
            lines += f"Retry-After: {error.retry_after_s}\r\n"
        if error.should_retry is not None:
            lines += f"x-should-retry: {str(error.should_retry).lower()}\r\n"
        if error.attempts:
            lines += f"x-pointsman-attempts: {error.attempts}\r\n"
        if isinstance(error, MethodNotAllowedError):
            lines += "Allow: GET, HEAD, POST\r\n"
        reason = HTTPStatus(error.status).phrase.encode()
        self.whole(error.status, reason, lines.encode() + date_line(), error_body(error, protocol, request_id))

    def cut(self) -> None:
        """Close the connection without the end that the answer's framing asks for."""
        self._outbox.flush()
        if self._request.is_1_1:
            self._transport.close()
        else:
            # Without framing a plain close would look like the end of the answer; a reset doesn't.
            if (connection := self._transport.get_extra_info("socket")) is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def abort(self) -> None:
        """Close the connection with whatever is not sent yet: the client doesn't take it."""
        self._transport.abort()

    def settle(self) -> bool:
        """Settle whether another request may follow on the connection: `stays_open`."""
        request = self._request
        # A body that is still coming would have to be read before another request can be.
        self.stays_open = stays_open = request.keep_alive and request.is_complete and not self.is_last
        return stays_open

    def _send(self, data: bytes, last_chunk: bytes) -> None:
        """Send a piece, which may be empty if it is the last, and behind it what ends the answer if that is chunked."""
        if not self._is_chunked:
            if data:
                self._outbox.write(self._transport, data)
        elif len(data) > JOINED_BYTES:
            self._outbox.writelines(self._transport, (b"%x\r\n" % len(data), data, b"\r\n" + last_chunk))
        else:
            self._outbox.write(self._transport, _chunk(data) + last_chunk if data else last_chunk)

    def _head(self, status: int, reason: bytes, lines: bytes, framing: bytes) -> bytes:
        self.has_begun = True
        closing = b"\r\n" if self.settle() else _CLOSE_END
        return b"".join((_status_line(status, reason), lines, framing, closing))
