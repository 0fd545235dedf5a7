"""The request body on its way through: read within limits, and written again with the target's model id.

A JSON body is held whole, since the `model` may stand anywhere in it. A form with files streams through: only what
comes before its `model` field is kept, in memory up to a limit and on disk beyond it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import IO, Protocol

from proxy.config import Server
from proxy.errors import PayloadTooLargeError
from proxy.gateway.request import Request
from proxy.upstream import Payload
from proxy.wire import Call, Document, ModelInBody, MultipartModel, boundary_of, find_model, splice_model
from proxy.wire.content_encoding import ContentDecoder

_FORM_IN_MEMORY_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_MULTIPART = re.compile(rb"\s*multipart/form-data\s*(?:;|$)", re.IGNORECASE)


class ModelRequest(Protocol):
    """A request body that can be sent to any target."""

    model: str

    def payload(self, model_id: str) -> Payload:
        """The body with `model_id` in the place of the client's model name."""
        ...


async def read_request(request: Request, call: Call, limits: Server) -> ModelRequest:
    """Read as much of the body as is needed to know the model.

    Raises an `InvalidRequestError` that says what is wrong with the body.
    """
    if call.model is None and _MULTIPART.match(request.head.values.get(b"content-type", b"")):
        return await StreamedForm.read(request, _decoded_pieces(request, limits))
    if request.is_complete and b"content-encoding" not in request.head.values:
        # Nearly always: it came together with its head.
        body: Document = request.take()
        if len(body) > limits.max_body_bytes:
            raise _too_large(limits)
    else:
        body = await _read_whole(request, limits)
    if call.model is not None:
        return BufferedBody(call.model, body, None)
    found = find_model(body)
    return BufferedBody(found.name, body, found)


class BufferedBody:
    """A body held whole.

    Args:
        model: the name that the client asked for.
        body: the bytes as the client sent them, decompressed.
        found: where the name stands in them; None if it stands in the URL.
    """

    def __init__(self, model: str, body: Document, found: ModelInBody | None) -> None:
        self.model = model
        self._body = body
        self._found = found

    def payload(self, model_id: str) -> Payload:
        """The body, all bytes as they were save those of the model."""
        if self._found is None:
            return Payload((self._body,), len(self._body))
        pieces = splice_model(self._body, self._found, model_id)
        return Payload(pieces, sum(map(len, pieces)))


class StreamedForm:
    """A multipart form whose model is known and whose rest is still coming; it can be sent once.

    Args:
        model: the name that the client asked for.
        form: the parser, stopped right behind the value of `model`.
        before: the bytes before that value.
        rest: the pieces still to come.
        length: the whole form's bytes as the client announced them; None if it didn't.
    """

    def __init__(
        self, model: str, form: MultipartModel, before: IO[bytes], rest: AsyncGenerator[bytes], length: int | None
    ) -> None:
        self.model = model
        self._form = form
        self._before = before
        self._rest = rest
        self._length = length

    @classmethod
    async def read(cls, request: Request, pieces: AsyncGenerator[bytes]) -> "StreamedForm":
        """Read up to the form's `model` field; raises `InvalidRequestError` if there is none."""
        form = MultipartModel(boundary_of(request.head.text(b"content-type")))
        before = SpooledTemporaryFile(max_size=_FORM_IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        try:
            async for piece in pieces:
                await asyncio.to_thread(before.writelines, form.feed(piece))
                if form.name is not None:
                    length = None if b"content-encoding" in request.head.values else request.content_length
                    return cls(form.name, form, before, pieces, length)
            form.close()
            raise AssertionError("a form without a model was closed")
        except BaseException:
            before.close()
            await pieces.aclose()
            raise

    def payload(self, model_id: str) -> Payload:
        """The form as a stream, with `model_id` as the value of `model`."""
        value = model_id.encode()
        length = None if self._length is None else self._length - self._form.value_length + len(value)
        return Payload(self._stream(value), length)

    async def _stream(self, value: bytes) -> AsyncIterator[bytes]:
        self._before.seek(0)
        while piece := await asyncio.to_thread(self._before.read, _PIECE_BYTES):
            yield piece
        yield value
        for piece in self._form.feed(b""):
            yield piece
        async for chunk in self._rest:
            for piece in self._form.feed(chunk):
                yield piece
        self._form.close()

    async def close(self) -> None:
        """Remove what was kept of the form."""
        self._before.close()
        # It is running where the provider answered before the end of the form; who was sending it has been cancelled.
        with suppress(RuntimeError):
            await self._rest.aclose()


async def _read_whole(request: Request, limits: Server) -> Document:
    pieces = _decoded_pieces(request, limits)
    if request.content_length is None or b"content-encoding" in request.head.values:
        return b"".join([piece async for piece in pieces])
    # With its place made beforehand, each piece can go at once: joining them in the end takes the memory twice.
    body = bytearray(min(request.content_length, limits.max_body_bytes))
    position = 0
    async for piece in pieces:
        body[position : position + len(piece)] = piece
        position += len(piece)
    return body


async def _decoded_pieces(request: Request, limits: Server) -> AsyncGenerator[bytes]:
    """The body as it comes, decompressed, within the limits of size and time."""
    decoder = ContentDecoder(request.head.text(b"content-encoding"))
    if (request.content_length or 0) > limits.max_body_bytes:
        raise _too_large(limits)
    size = 0
    while chunk := await request.read(limits.client_idle_s):
        for piece in decoder.feed(chunk):
            size += len(piece)
            if size > limits.max_body_bytes:
                raise _too_large(limits)
            if piece:
                yield piece
    decoder.close()


def _too_large(limits: Server) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        f"The request body is larger than {limits.max_body_bytes} bytes, the limit here (server.max_body_bytes)."
    )
