"""What a provider answers, from its bytes: llhttp reads them, and nothing that is doubtful gets through.

No I/O: bytes go in, head and body come out. An answer whose end can't be told for sure is an error (RFC 9112 §6.3), for
whoever reads it differently would take one answer's bytes for another's.
"""

from typing import Final

import httptools

from proxy.wire import Head, HeadReader

_HEAD_BYTES: Final = 64 * 1024
_HEAD_FIELDS: Final = 256
_BODILESS: Final = frozenset({204, 304})
_NO_HEAD: Final = Head.of(())
_LONG_HEAD: Final = f"sent a head of more than {_HEAD_BYTES} bytes"
_UNSAFE: Final = "framed its answer in a way that is not safe to read"


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
        status, reason, head: of the answer under way, once `has_head`.
        length: bytes of the body as announced; None where its end shows otherwise.
        pieces: what has come of the body and was not taken yet, as it came.
        is_complete: whether all of it has been fed, or none is under way.
        stays_open: whether another answer may follow on the connection, once it is complete; at first it may.
        received: bytes of the answer that came, until its head was there.
        has_switched: whether the provider left HTTP behind (status 101), as it was asked to; what was fed behind the
            head is in `pieces`, and nothing more can be fed.
    """

    __slots__ = (
        "_asked_to_switch",
        "_ends_with_connection",
        "_is_interim",
        "_parser",
        "_reader",
        "has_head",
        "has_switched",
        "head",
        "is_complete",
        "length",
        "on_body",
        "on_header",
        "pieces",
        "reason",
        "received",
        "status",
        "stays_open",
    )

    def __init__(self) -> None:
        self.status = 0
        self.head = _NO_HEAD
        self.length: int | None = None
        self.has_switched = False
        self._reader = HeadReader()
        # The fields of the head, or of a trailer, which is dropped.
        self.on_header = self._reader.add
        self._is_interim = False
        self._ends_with_connection = False
        self.pieces: list[bytes] = []
        # llhttp hands over each piece of a body with one call: the cheapest there is.
        self.on_body = self.pieces.append
        self.begin()
        self.is_complete = self.stays_open = True
        self._parser = httptools.HttpResponseParser(self)

    def begin(self, *, may_switch: bool = False) -> None:
        """Expect an answer; it may be a 101 only if that was asked for."""
        self.has_head = False
        self.is_complete = False
        self.stays_open = False
        self.received = 0
        self.reason = b""
        # An answer that was failed over, or that a hedge lost with, is complete without anybody having taken it.
        self.pieces.clear()
        self._asked_to_switch = may_switch

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
        except httptools.HttpParserUpgrade as upgrade:
            self.stays_open = False
            if not self.has_switched:
                raise InvalidAnswerError("switched protocols without being asked") from upgrade
            if behind := data[upgrade.args[0] :]:
                self.pieces.append(behind)
        except httptools.HttpParserError as error:
            self.stays_open = False
            raise InvalidAnswerError("sent an answer that is not valid HTTP") from error
        if self.received > _HEAD_BYTES or self._reader.reported:
            self._bound()

    def end(self) -> bool:
        """Take the end of the connection; returns whether that completes the answer."""
        if self._ends_with_connection:
            self.is_complete = True
        return self.is_complete

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    def _bound(self) -> None:
        """Refuse a head without end, and drop the trailer, which may have none either."""
        if self.has_head:
            self._reader.clear()
        elif self.received > _HEAD_BYTES:
            raise InvalidAnswerError(_LONG_HEAD)

    # What llhttp calls.

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self.is_complete:
            raise InvalidAnswerError("sent more than one answer")

    def on_status(self, status: bytes) -> None:
        """The reason phrase, or a part of it."""
        self.reason += status

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status, reader = self._parser.get_status_code(), self._reader
        if len(reader.reported) > 2 * _HEAD_FIELDS:
            raise InvalidAnswerError(f"sent a head of more than {_HEAD_FIELDS} fields")
        # What came holds some of the body as well, so only a long one needs to be measured.
        if self.received > _HEAD_BYTES and sum(map(len, reader.reported)) > _HEAD_BYTES:
            raise InvalidAnswerError(_LONG_HEAD)
        if status < 200 and status != 101:
            self._is_interim = True
            reader.clear()
            return
        self.head = reader.take()
        if status != 101:
            self._take_framing(status)
        elif self._asked_to_switch:
            self.has_switched = True
        else:
            raise InvalidAnswerError("switched protocols without being asked")
        self.status = status
        self.has_head = True

    def on_message_complete(self) -> None:
        """The answer is whole, or it was an interim one (RFC 9110 §15.2), of which nothing is kept."""
        if self._is_interim:
            self._is_interim = False
            self.reason = b""
        elif not self.has_switched:
            self.is_complete = True
            self.stays_open = self._parser.should_keep_alive() and not self._ends_with_connection

    def _take_framing(self, status: int) -> None:
        """How the body ends; raises `InvalidAnswerError` where that is in doubt."""
        values = self.head.values
        length = values.get(b"content-length")
        coding = values.get(b"transfer-encoding")
        self.length = None
        self._ends_with_connection = False
        if coding is not None:
            if length is not None or coding.strip().lower() != b"chunked":
                raise InvalidAnswerError(_UNSAFE)
        elif length is not None:
            if not length.strip().isdigit():
                raise InvalidAnswerError(_UNSAFE)
            self.length = int(length)
        else:
            self._ends_with_connection = status not in _BODILESS
