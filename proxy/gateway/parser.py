"""What a client asks, from its bytes: llhttp reads them, and nothing that is doubtful gets through.

No I/O: bytes go in, requests come out. A request whose end, path or host could be read in two ways is an error (RFC
9112 §11.2), and after an error nothing more is read from its connection. Errors quote nothing of the request, since its
head holds credentials.
"""

import re
from collections import deque
from typing import Final

import httptools

from proxy.errors import InvalidRequestError
from proxy.gateway.bad_request import BadRequestError, HeadTooLargeError, UnknownCodingError
from proxy.gateway.known_head import KnownHead
from proxy.gateway.request import Flow, Request
from proxy.wire import HeadReader

# One field of a head; the same for the request line, which holds the path.
_FIELD_BYTES: Final = 16 * 1024
_FIELDS: Final = 128
# A head and what was read together with it: two of the event loop's reads. The same for what stands between the pieces
# of a body (chunk extensions), and for a trailer.
_HEAD_BYTES: Final = 512 * 1024
# How many heads are learnt in a row that don't come again: some clients' never do.
_LESSONS: Final = 4
_ORIGIN: Final = re.compile(r"https?://([^/?#]+)", re.IGNORECASE)
# RFC 3986 §3.2: a host and a port, without a user, a path or a list of them.
_HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=%-]+(?::\d{0,5})?|\[[0-9A-Fa-f:.]+\](?::\d{0,5})?")


class RequestParser:
    """Parses the requests that come on one connection, one after the other.

    Args:
        flow: what paces the requests' bodies.
        client: the address of the client.

    Attributes:
        requests: those whose head is here and which nobody has taken yet.
        incoming: the request whose body is still coming, if any.
    """

    __slots__ = (
        "_client",
        "_flow",
        "_has_left_http",
        "_head_bytes",
        "_known",
        "_lessons",
        "_parser",
        "_piece_bytes",
        "_reader",
        "_target",
        "incoming",
        "on_header",
        "requests",
    )

    def __init__(self, flow: Flow, client: str) -> None:
        self._flow = flow
        self._client = client
        self._target = b""
        self._reader = HeadReader()
        # The fields of the head, or of a trailer, which is dropped.
        self.on_header = self._reader.add
        self._head_bytes = self._piece_bytes = 0
        self.incoming: Request | None = None
        self.requests: deque[Request] = deque()
        self._has_left_http = False
        self._known: KnownHead | None = None
        self._lessons = _LESSONS
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take what came; raises an `InvalidRequestError`, after which nothing more can be fed."""
        if self._known is not None and (body := self._known.body_of(data)) is not None:
            self.requests.append(self._known.request.again(body))
            self._lessons = _LESSONS
        elif self._has_left_http:
            self.on_body(data)
        else:
            self._parse(data)

    def skip_rest(self) -> None:
        """The rest of the body that was coming has been read by another way; what is fed next is a request."""
        self._parser = httptools.HttpRequestParser(self)
        if self.incoming is not None:
            self.incoming.end()
            self.incoming = None

    def _parse(self, data: bytes) -> None:
        is_between = self.incoming is None and not self._target
        known = len(self.requests)
        self._known = None
        self._piece_bytes = len(data)
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._leave_http(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ if isinstance(error.__context__, InvalidRequestError) else error from None
        except httptools.HttpParserError as error:
            message = f"The request is not valid HTTP/1.1 ({type(error).__name__})."
            raise BadRequestError(message) from error
        is_long = self._head_bytes > _HEAD_BYTES and (self._target or self.incoming)
        if is_long or len(self._reader.reported) > 2 * _FIELDS:
            raise _too_large()
        if is_between and self._lessons and len(self.requests) == known + 1:
            self._lessons -= 1
            self._known = KnownHead.learn(data, self.requests[-1])

    # What llhttp calls.

    def on_url(self, target: bytes) -> None:
        """The request's target, or a part of it."""
        if not self._target:
            # A head begins; it may be all of this piece.
            self._head_bytes = self._piece_bytes
        self._target += target

    def on_headers_complete(self) -> None:
        """The head is whole."""
        raw_target, self._target = self._target, b""
        reader = self._reader
        if self.incoming is not None:
            # The head that has the body of a request to upgrade read: see `_leave_http`.
            reader.clear()
            return
        is_long = self._head_bytes > _FIELD_BYTES and _is_too_large(raw_target, reader)
        if is_long or len(reader.reported) > 2 * _FIELDS:
            raise _too_large()
        parser, version = self._parser, self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise BadRequestError("The request's HTTP version is not 1.1 or 1.0.")
        method = parser.get_method().decode()
        path, _, query = _origin_form(method, raw_target.decode("utf-8", "surrogateescape")).partition("?")
        request = Request(self._flow, self._client, method, path, query, reader.take())
        request.is_1_1 = version == "1.1"
        # In HTTP/1.0 it takes the word of both sides (RFC 9112 §9.3), and nobody who speaks it misses it.
        request.keep_alive = request.is_1_1 and parser.should_keep_alive()
        _take_framing(request)
        if request.is_1_1 and b"upgrade" in request.head.values and parser.should_upgrade():
            request.upgrade = request.head.text(b"upgrade").strip().lower()
            if request.is_websocket and request.has_body:
                raise BadRequestError("A request for a WebSocket has no body.")
        self._head_bytes = 0
        self.incoming = request
        self.requests.append(request)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._head_bytes = 0
        if self.incoming is not None:
            self.incoming.feed(piece)

    def on_message_complete(self) -> None:
        """The request is whole; the fields of its trailer, if any, are dropped."""
        if self._reader.reported:
            self._reader.clear()
        if (request := self.incoming) is None:
            return
        # llhttp takes all behind the head of a request to upgrade for the other protocol's.
        if self._parser.should_upgrade() and (request.is_websocket or request.has_body):
            return
        request.end()
        self.incoming = None

    def _leave_http(self, behind: bytes) -> None:
        """A request asked for another protocol: it gets a WebSocket, or what it would have got without asking."""
        if (request := self.incoming) is not None and request.is_websocket:
            self._has_left_http = True
        else:
            self._parser = httptools.HttpRequestParser(self)
            if request is not None:
                length = b"Content-Length: %d" % (request.content_length or 0)
                framing = b"Transfer-Encoding: chunked" if request.is_chunked else length
                self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        if behind:
            self.feed(behind)


def _origin_form(method: str, target: str) -> str:
    """The path and query of a target; an absolute one is taken as well (RFC 9112 §3.2.2)."""
    if method == "CONNECT":
        raise BadRequestError("CONNECT asks for a way to another server, which there is none through here.")
    if not target.startswith("/") and (target != "*" or method != "OPTIONS"):
        origin = _ORIGIN.match(target)
        if origin is None or not _HOST.fullmatch(origin[1].encode("utf-8", "surrogateescape")):
            raise BadRequestError("The request's target is neither a path nor an absolute URL.")
        target = target[origin.end() :]
        if not target.startswith("/"):
            target = f"/{target}"
    if "#" in target:
        raise BadRequestError("The request's target holds a fragment, which no request has.")
    return target


def _take_framing(request: Request) -> None:
    """Take from the head where the body ends, and refuse a head that can be read in two ways."""
    values = request.head.values
    host = values.get(b"host")
    if host is None:
        if request.is_1_1:
            raise BadRequestError("The request has no Host.")
    elif not _HOST.fullmatch(host.strip(b" \t")):
        raise BadRequestError("The request's Host is not one host and a port.")
    if (length := values.get(b"content-length")) is not None:
        request.content_length = int(length)
    if (coding := values.get(b"transfer-encoding")) is not None:
        if not request.is_1_1 or length is not None:
            raise BadRequestError("The request's Transfer-Encoding contradicts the rest of its head.")
        if coding.strip().lower() != b"chunked":
            raise UnknownCodingError("The only Transfer-Encoding that is read here is `chunked`.")
        request.is_chunked = True
    if b"expect" in values:
        request.awaits_invitation = request.is_1_1 and values[b"expect"].strip().lower() == b"100-continue"


def _is_too_large(target: bytes, reader: HeadReader) -> bool:
    names, values = reader.reported[::2], reader.reported[1::2]
    sizes = (len(name) + len(value) for name, value in zip(names, values, strict=True))
    return len(target) > _FIELD_BYTES or any(size > _FIELD_BYTES for size in sizes)


def _too_large() -> HeadTooLargeError:
    return HeadTooLargeError(
        f"The request's head is too large: {_FIELD_BYTES} bytes for the request line and each header field, "
        f"and {_FIELDS} fields, are the limits."
    )
