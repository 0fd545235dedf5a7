"""A request body as it comes, decompressed, within the limits of size and time."""

from collections.abc import Iterator
from typing import Final, Self

from proxy.config import Server
from proxy.errors import PayloadTooLargeError
from proxy.gateway.request import Request
from proxy.wire import Document
from proxy.wire.content_encoding import ContentDecoder

# From here on it pays to read a body straight to its place.
_LARGE_BYTES: Final = 512 * 1024


class DecodedPieces:
    """An iterator over the pieces of a body, whose reader may be cancelled: what it didn't get, the next one gets.

    Args:
        request: whose body it is.
        limits: of its size, decompressed, and of each pause.

    Raises `PayloadTooLargeError` for a body that is too large, at once if it is announced as such.
    """

    def __init__(self, request: Request, limits: Server) -> None:
        _check_length(request, limits)
        self._request = request
        self._limits = limits
        self._decoder = ContentDecoder(request.head.text(b"content-encoding"))
        self._decoded: Iterator[bytes] = iter(())
        self._size = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            for piece in self._decoded:
                self._size += len(piece)
                if self._size > self._limits.max_body_bytes:
                    raise too_large(self._limits)
                if piece:
                    return piece
            chunk = await self._request.read(self._limits.client_idle_s)
            if not chunk:
                self._decoder.close()
                raise StopAsyncIteration
            self._decoded = self._decoder.feed(chunk)


async def read_whole(request: Request, limits: Server) -> Document:
    """All of the body; raises what reading its pieces does."""
    if (request.content_length or 0) >= _LARGE_BYTES and b"content-encoding" not in request.head.values:
        _check_length(request, limits)
        return await request.read_whole(limits.client_idle_s)
    return b"".join([piece async for piece in DecodedPieces(request, limits)])


def _check_length(request: Request, limits: Server) -> None:
    """Refuse a body that is announced as too large, before any of it is read."""
    if (request.content_length or 0) > limits.max_body_bytes:
        raise too_large(limits)


def too_large(limits: Server) -> PayloadTooLargeError:
    """What a client is told whose body is too large."""
    return PayloadTooLargeError(
        f"The request body is larger than {limits.max_body_bytes} bytes, the limit here (server.max_body_bytes)."
    )
