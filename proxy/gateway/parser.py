"""What a client asks, from its bytes: llhttp reads them, and nothing that is doubtful gets through.

No I/O: bytes go in, requests come out. A request whose end, path or host could be read in two ways is an error (RFC
9112 §11.2), and after an error nothing more is read from its connection. Errors quote nothing of the request, since its
head holds credentials.
"""

import re
from collections import deque

import httptools

from proxy.errors import InvalidRequestError
from proxy.gateway.known_head import KnownHead
from proxy.gateway.request import Flow, Request
from proxy.wire import Field, Head

# One field of a head; the same for the request line, which holds the path.
_FIELD_BYTES = 16 * 1024
_FIELDS = 128
# A head and what was read together with it: two of the event loop's reads.
_HEAD_BYTES = 512 * 1024
# How many heads are learnt in a row that don't come again: some clients' never do.
_LESSONS = 4
_ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
# RFC 3986 §3.2: a host and a port, without a user, a path or a list of them.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=%-]*(?::\d{0,5})?|\[[0-9A-Fa-f:.]+\](?::\d{0,5})?")


class BadRequestError(InvalidRequestError):
    """The bytes are no request, or not a safe one."""

    code = "bad_request"


class HeadTooLargeError(InvalidRequestError):
    """The head is larger than what is read of one."""

    status = 431
    code = "request_header_fields_too_large"


class UnknownCodingError(InvalidRequestError):
    """The body comes in a transfer coding that is not read here (RFC 9112 §6.1)."""

    status = 501
    code = "unsupported_transfer_encoding"


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
        "_fields",
        "_flow",
        "_has_left_http",
        "_head_bytes",
        "_known",
        "_lessons",
        "_parser",
        "_target",
        "incoming",
        "requests",
    )

    def __init__(self, flow: Flow, client: str) -> None:
        self._flow = flow
        self._client = client
        self._target = b""
        self._fields: list[Field] = []
        self._head_bytes = 0
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

    def _parse(self, data: bytes) -> None:
        is_between = self.incoming is None and not self._target
        known = len(self.requests)
        self._head_bytes = len(data) + (self._head_bytes if self._target else 0)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._leave_http(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ if isinstance(error.__context__, InvalidRequestError) else error from None
        except httptools.HttpParserError as error:
            message = f"The request is not valid HTTP/1.1 ({type(error).__name__})."
            raise BadRequestError(message) from error
        if self._target and self._head_bytes > _HEAD_BYTES:
            raise _too_large()
        self._known = None
        if is_between and self._lessons and len(self.requests) == known + 1:
            self._lessons -= 1
            self._known = KnownHead.learn(data, self.requests[-1])

    # What llhttp calls.

    def on_url(self, target: bytes) -> None:
        """The request's target, or a part of it."""
        self._target += target

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """A field of the head, or of the trailer, which is dropped."""
        self._fields.append((name.lower(), name, value or b""))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        raw_target, self._target = self._target, b""
        # What else comes as a field belongs to the trailer.
        fields, self._fields = self._fields, []
        if len(fields) > _FIELDS or (self._head_bytes > _FIELD_BYTES and _is_too_large(raw_target, fields)):
            raise _too_large()
        parser, version = self._parser, self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise BadRequestError("The request's HTTP version is not 1.1 or 1.0.")
        path, _, query = _origin_form(raw_target.decode("utf-8", "surrogateescape")).partition("?")
        request = Request(self._flow, self._client, parser.get_method().decode(), path, query, Head(fields))
        request.is_1_1 = version == "1.1"
        # In HTTP/1.0 it takes the word of both sides (RFC 9112 §9.3), and nobody who speaks it misses it.
        request.keep_alive = request.is_1_1 and parser.should_keep_alive()
        _take_framing(request)
        self.incoming = request
        self.requests.append(request)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if self.incoming is not None:
            self.incoming.feed(piece)

    def on_message_complete(self) -> None:
        """The request is whole; the fields of its trailer, if any, are dropped."""
        if self._fields:
            self._fields = []
        if self.incoming is not None and not self.incoming.is_websocket:
            self.incoming.end()
            self.incoming = None

    def _leave_http(self, behind: bytes) -> None:
        """A request asked for another protocol: it gets a WebSocket, or what it would have got without asking."""
        if self.incoming is not None:
            self._has_left_http = True
        else:
            self._parser = httptools.HttpRequestParser(self)
        if behind:
            self.feed(behind)


def _origin_form(target: str) -> str:
    """The path and query of a target; an absolute one is taken as well (RFC 9112 §3.2.2)."""
    if not target.startswith("/") and target != "*":
        origin = _ORIGIN.match(target)
        if origin is None:
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
    elif not _HOST.fullmatch(host):
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
    if b"upgrade" in values:
        request.upgrade = request.head.text(b"upgrade").strip().lower()


def _is_too_large(target: bytes, fields: list[Field]) -> bool:
    return len(target) > _FIELD_BYTES or any(len(name) + len(value) > _FIELD_BYTES for _, name, value in fields)


def _too_large() -> HeadTooLargeError:
    return HeadTooLargeError(
        f"The request's head is too large: {_FIELD_BYTES} bytes for the request line and each header field, "
        f"and {_FIELDS} fields, are the limits."
    )
