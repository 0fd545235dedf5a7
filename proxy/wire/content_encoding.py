"""Undoing the compression of a request body, a bounded piece at a time.

Only what Python decodes by itself is offered (RFC 9110 §8.4.1); a client that is told 415 can send the body plain.
"""

import zlib
from collections.abc import Iterator

from proxy.errors import InvalidRequestError, UnsupportedEncodingError

_PIECE_BYTES = 256 * 1024
_GZIP, _ZLIB, _RAW = 31, 15, -15


class ContentDecoder:
    """Decodes one body.

    Args:
        encoding: the value of `Content-Encoding`.

    Raises `UnsupportedEncodingError` for anything but gzip, deflate and identity.
    """

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding.strip().lower()
        match self.encoding:
            case "" | "identity":
                self._inflate = None
            case "gzip" | "x-gzip":
                self._inflate = zlib.decompressobj(_GZIP)
            case "deflate":
                self._inflate = zlib.decompressobj(_ZLIB)
            case _:
                message = f"Content-Encoding `{encoding[:60]}` is not supported: send gzip, deflate or no encoding."
                raise UnsupportedEncodingError(message)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` decodes to, in pieces of bounded size, so that the caller can stop at its own limit."""
        if self._inflate is None:
            yield data
            return
        while data:
            try:
                yield self._inflate.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                if self._begun or self.encoding != "deflate":
                    raise InvalidRequestError(f"The request body is not valid {self.encoding}.") from error
                # Some clients send `deflate` without the zlib wrapper that RFC 9110 §8.4.1.2 asks for.
                self._begun = True
                self._inflate = zlib.decompressobj(_RAW)
                continue
            self._begun = True
            data = self._inflate.unconsumed_tail
            if self._inflate.eof and self._inflate.unused_data:
                data = self._next_member(self._inflate.unused_data)

    def close(self) -> None:
        """Say that the body is over; raises `InvalidRequestError` if more was to come."""
        if self._inflate is not None and not self._inflate.eof:
            raise InvalidRequestError(f"The request body ends in the middle of its {self.encoding} stream.")

    def _next_member(self, rest: bytes) -> bytes:
        """A gzip stream may be several in a row (RFC 1952 §2.2)."""
        if self.encoding == "deflate":
            raise InvalidRequestError("There are bytes behind the end of the deflate stream in the request body.")
        self._inflate = zlib.decompressobj(_GZIP)
        return rest
