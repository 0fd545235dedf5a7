"""What a provider answers, from its bytes: llhttp reads them, and nothing that is doubtful gets through.

No I/O: bytes go in, head and body come out. An answer whose end can't be told for sure is an error (RFC 9112 §6.3), for
whoever reads it differently would take one answer's bytes for another's.
"""

from collections import deque

import httptools

_HEAD_BYTES = 64 * 1024
_HEAD_FIELDS = 256
_BODILESS = frozenset({204, 304})
_UNSAFE = "framed its answer in a way that is not safe to read"


class InvalidAnswerError(Exception):
    """The bytes are no answer, or not a safe one.

    Attributes:
        reason: what is wrong, as the end of a sentence that begins with the provider.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AnswerParser:
    """Parses the answers that come on one connection, one after the other.

    Attributes:
        status, reason, headers: of the answer under way, once `has_head`.
        is_complete: whether all of it has been fed, or none is under way.
        stays_open: whether another answer may follow on the connection, once it is complete.
        received: bytes of the answer that came, until its head was there.
        buffered: bytes of its body that wait for `take`.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.begin()
        self.is_complete = True

    def begin(self) -> None:
        """Expect an answer."""
        self.status = 0
        self.reason = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.is_complete = False
        self.stays_open = False
        self.received = 0
        self.buffered = 0
        self._chunks: deque[bytes] = deque()
        self._is_interim = False
        self._ends_with_connection = False

    def feed(self, data: bytes) -> None:
        """Take what came; raises `InvalidAnswerError`, after which no further answer can be read."""
        if self.is_complete:
            self.stays_open = False
            raise InvalidAnswerError("sent bytes that belong to no answer")
        if not self.has_head:
            self.received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            self.stays_open = False
            reason = error.__context__.reason if isinstance(error.__context__, InvalidAnswerError) else _UNSAFE
            raise InvalidAnswerError(reason) from error
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.stays_open = False
            raise InvalidAnswerError("sent an answer that is not valid HTTP") from error
        if not self.has_head and self.received > _HEAD_BYTES:
            raise InvalidAnswerError(f"sent a head of more than {_HEAD_BYTES} bytes")

    def end(self) -> bool:
        """Take the end of the connection; returns whether that completes the answer."""
        if self._ends_with_connection:
            self.is_complete = True
        return self.is_complete

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self.buffered = 0
        return data

    # What llhttp calls.

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self.is_complete:
            raise InvalidAnswerError("sent more than one answer")

    def on_status(self, status: bytes) -> None:
        """The reason phrase, or a part of it."""
        self.reason += status.decode("latin-1")

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """A field of the head, or of the trailer, which is dropped."""
        if not self.has_head:
            self.headers.append((name, value or b""))
            if len(self.headers) > _HEAD_FIELDS:
                raise InvalidAnswerError(f"sent a head of more than {_HEAD_FIELDS} fields")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if status == 101:
            raise InvalidAnswerError("switched protocols without being asked")
        if status < 200:
            self._is_interim = True
            return
        self.status = status
        self._ends_with_connection = _ends_with_connection(status, self.headers)
        self.has_head = True

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._chunks.append(data)
        self.buffered += len(data)

    def on_message_complete(self) -> None:
        """The answer is whole, or it was an interim one (RFC 9110 §15.2), of which nothing is kept."""
        if self._is_interim:
            self._is_interim = False
            self.headers, self.reason = [], ""
            return
        self.is_complete = True
        self.stays_open = self._parser.should_keep_alive() and not self._ends_with_connection


def _ends_with_connection(status: int, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the body has no end but the connection's; raises `InvalidAnswerError` where its end is in doubt."""
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    codings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    if codings:
        if lengths or len(codings) > 1 or codings[0].strip().lower() != b"chunked":
            raise InvalidAnswerError(_UNSAFE)
        return False
    if len(lengths) > 1 or (lengths and not lengths[0].strip().isdigit()):
        raise InvalidAnswerError(_UNSAFE)
    return not lengths and status not in _BODILESS
