"""The request body on its way through: read within limits, and written again with the target's model id.

A JSON body is held whole, since the `model` may stand anywhere in it. A form with files streams through, and what has
gone through is kept for another try, in memory up to a limit and on disk beyond it.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Protocol, Self

from msgspec import Struct

from proxy.config import Server
from proxy.errors import PayloadTooLargeError
from proxy.gateway.request import Request
from proxy.upstream import Payload
from proxy.wire import (
    Call,
    Document,
    Head,
    ModelInBody,
    MultipartModel,
    affinity_key,
    boundary_of,
    find_model,
    splice_model,
)
from proxy.wire.content_encoding import ContentDecoder

_FORM_IN_MEMORY_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_JSON = b"application/json"
_MULTIPART = re.compile(rb"\s*multipart/form-data\s*(?:;|$)", re.IGNORECASE)


class ModelRequest(Protocol):
    """A request body that can be sent to any target."""

    model: str
    can_hedge: bool
    """Whether it can be sent to two targets at a time."""

    def payload(self, model_id: str) -> Payload:
        """The body with `model_id` in the place of the client's model name."""
        ...

    def affinity(self, header: str | None) -> str:
        """What tells which requests belong together: the header of that name, or else the body; "" if nothing."""
        ...


def read_at_once(request: Request, call: Call, limits: Server) -> "BufferedBody | None":
    """A body that came together with its head, as nearly all do; None if it has to be waited for, or decoded.

    Raises an `InvalidRequestError` that says what is wrong with the body.
    """
    values = request.head.values
    if not request.is_complete or b"content-encoding" in values:
        return None
    content_type = values.get(b"content-type", b"")
    if content_type != _JSON and _MULTIPART.match(content_type):
        return None
    body = request.take()
    if len(body) > limits.max_body_bytes:
        raise _too_large(limits)
    return _buffered(request, call, body)


async def read_request(request: Request, call: Call, limits: Server) -> ModelRequest:
    """Read as much of the body as is needed to know the model.

    Raises an `InvalidRequestError` that says what is wrong with the body.
    """
    if call.model is None and _MULTIPART.match(request.head.values.get(b"content-type", b"")):
        return await StreamedForm.read(request, _DecodedPieces(request, limits))
    return _buffered(request, call, await _read_whole(request, limits))


def _buffered(request: Request, call: Call, body: Document) -> "BufferedBody":
    if call.model is not None:
        return BufferedBody(call.model, request.head, body, None)
    found = find_model(body)
    return BufferedBody(found.name, request.head, body, found)


class BufferedBody(Struct, eq=False):
    """A body held whole.

    Args:
        model: the name that the client asked for.
        head: what it came with.
        body: the bytes as the client sent them, decompressed.
        found: where the name stands in them; None if it stands in the URL.
    """

    model: str
    _head: Head
    _body: Document
    _found: ModelInBody | None
    can_hedge: bool = True

    def payload(self, model_id: str) -> Payload:
        """The body, all bytes as they were save those of the model."""
        body = self._body
        pieces = (body,) if self._found is None else splice_model(body, self._found, model_id)
        return Payload(pieces, len(body) if len(pieces) == 1 else sum(map(len, pieces)))

    def affinity(self, header: str | None) -> str:
        """See `ModelRequest`."""
        return affinity_key(self._body) if header is None else self._head.field(header)


class StreamedForm:
    """A multipart form whose model is known and whose rest is still coming.

    What has come is kept, so that it can be sent again to another target; to one at a time.

    Args:
        model: the name that the client asked for.
        head: what it came with.
        form: the parser, stopped right behind the value of `model`.
        before: the bytes before that value.
        rest: the pieces still to come.
        length: the whole form's bytes as the client announced them; None if it didn't.
    """

    can_hedge = False

    def __init__(
        self, model: str, head: Head, form: MultipartModel, before: "_Kept", rest: "_DecodedPieces", length: int | None
    ) -> None:
        self.model = model
        self._head = head
        self._form = form
        self._before = before
        self._after = _Kept()
        self._rest = rest
        self._length = length
        self._is_over = False

    @classmethod
    async def read(cls, request: Request, pieces: "_DecodedPieces") -> "StreamedForm":
        """Read up to the form's `model` field; raises `InvalidRequestError` if there is none."""
        form = MultipartModel(boundary_of(request.head.text(b"content-type")))
        before = _Kept()
        try:
            async for piece in pieces:
                await before.add(form.feed(piece))
                if form.name is not None:
                    length = None if b"content-encoding" in request.head.values else request.content_length
                    return cls(form.name, request.head, form, before, pieces, length)
            form.close()
            raise AssertionError("a form without a model was closed")
        except BaseException:
            before.close()
            raise

    def payload(self, model_id: str) -> Payload:
        """The form as a stream, with `model_id` as the value of `model`."""
        value = model_id.encode()
        length = None if self._length is None else self._length - self._form.value_length + len(value)
        return Payload(self._stream(value), length)

    def affinity(self, header: str | None) -> str:
        """See `ModelRequest`; a form says nothing of the kind."""
        return "" if header is None else self._head.field(header)

    async def _stream(self, value: bytes) -> AsyncIterator[bytes]:
        async for piece in self._before.pieces():
            yield piece
        yield value
        await self._after.add(self._form.feed(b""))
        async for piece in self._after.pieces():
            yield piece
        while not self._is_over:
            if (chunk := await anext(self._rest, None)) is None:
                self._form.close()
                self._is_over = True
                return
            kept = self._after.size
            await self._after.add(self._form.feed(chunk))
            async for piece in self._after.pieces(kept):
                yield piece

    def close(self) -> None:
        """Remove what was kept of the form."""
        self._before.close()
        self._after.close()


class _Kept:
    """Bytes that are kept, in memory up to a limit and on disk beyond it.

    Attributes:
        size: how many they are.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = SpooledTemporaryFile(max_size=_FORM_IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self._working: asyncio.Future[bytes] | None = None
        self.size = 0

    async def add(self, pieces: Iterable[bytes]) -> None:
        """Keep more; what was begun is finished even if nobody waits for it any more."""
        data = b"".join(pieces)
        if data:
            await self._undisturbed(self._append, data)

    async def pieces(self, position: int = 0) -> AsyncIterator[bytes]:
        """All that is kept from `position` on."""
        while position < self.size:
            piece = await self._undisturbed(self._read, position)
            position += len(piece)
            yield piece

    def close(self) -> None:
        """Remove them, once no thread needs them any more."""
        if self._working is None or self._working.done():
            self._file.close()
        else:
            self._working.add_done_callback(lambda _: self._file.close())

    async def _undisturbed(self, work: Callable[..., bytes], *arguments: object) -> bytes:
        # A thread can't be cancelled, so whoever comes next has to wait for it.
        while self._working is not None and not self._working.done():
            await asyncio.wait([self._working])
        self._working = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
        return await asyncio.shield(self._working)

    def _append(self, data: bytes) -> bytes:
        self._file.seek(0, os.SEEK_END)
        self._file.write(data)
        self.size += len(data)
        return b""

    def _read(self, position: int) -> bytes:
        self._file.seek(position)
        return self._file.read(_PIECE_BYTES)


async def _read_whole(request: Request, limits: Server) -> Document:
    pieces = _DecodedPieces(request, limits)
    if request.content_length is None or b"content-encoding" in request.head.values:
        return b"".join([piece async for piece in pieces])
    # With its place made beforehand, each piece can go at once: joining them in the end takes the memory twice.
    body = bytearray(min(request.content_length, limits.max_body_bytes))
    position = 0
    async for piece in pieces:
        body[position : position + len(piece)] = piece
        position += len(piece)
    return body


class _DecodedPieces:
    """The body as it comes, decompressed, within the limits of size and time.

    An iterator whose reader may be cancelled: what it didn't get, the next one gets.
    """

    def __init__(self, request: Request, limits: Server) -> None:
        if (request.content_length or 0) > limits.max_body_bytes:
            raise _too_large(limits)
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
                    raise _too_large(self._limits)
                if piece:
                    return piece
            chunk = await self._request.read(self._limits.client_idle_s)
            if not chunk:
                self._decoder.close()
                raise StopAsyncIteration
            self._decoded = self._decoder.feed(chunk)


def _too_large(limits: Server) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        f"The request body is larger than {limits.max_body_bytes} bytes, the limit here (server.max_body_bytes)."
    )
