"""A request whose head was read before: a client that stays connected sends the same each time, but for the length.

llhttp reports a head field by field, which is most of what reading a request costs. What it has accepted once needn't
be read again: the same bytes around another Content-Length are the same request with a body of that length. Only a
request that comes whole and alone is taken in this way; llhttp reads every other, and doesn't miss those it never saw.
"""

import re
from typing import Final

from proxy.gateway.request import Request

# Larger ones are read anew, so that a connection keeps little.
_BYTES: Final = 4096
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*+(\d{1,15})[ \t]*+(?=\r\n)", re.IGNORECASE)


class KnownHead:
    """The head of one request.

    Args:
        before: its bytes up to the length.
        behind: those behind the length, with the blank line.
        request: what was read in it.
    """

    __slots__ = ("_before", "_behind", "request")

    def __init__(self, before: bytes, behind: bytes, request: Request) -> None:
        self._before = before
        self._behind = behind
        self.request = request

    @classmethod
    def learn(cls, data: bytes, request: Request) -> "KnownHead | None":
        """The head of a request that was read in `data`; None unless that is all of it, and all that is there."""
        length = request.content_length
        if length is None or not request.is_complete or not request.is_plain:
            return None
        end = len(data) - length
        if end > _BYTES or data.find(b"\r\n\r\n") + 4 != end or not data.startswith(request.method.encode() + b" "):
            return None
        lengths = list(_LENGTH.finditer(data, 0, end))
        if len(lengths) != 1:
            return None
        digits = lengths[0]
        return cls(data[: digits.start(1)], data[digits.end(1) : end], request)

    def body_of(self, data: bytes) -> bytes | None:
        """The body, if `data` is this head, whatever its length, with all of a body of that length and no more."""
        if not data.startswith(self._before):
            return None
        start = len(self._before)
        end = data.find(b"\r", start, start + 16)
        if not data.startswith(self._behind, end) or not (digits := data[start:end]).isdigit():
            return None
        body = data[end + len(self._behind) :]
        return body if len(body) == int(digits) else None
