"""A form with files on its way through: it is sent on while it comes, and kept for another try.

What has gone through is kept in memory up to a limit and on disk beyond it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import IO

from proxy.gateway.decoded import DecodedPieces
from proxy.gateway.request import Request
from proxy.upstream import Payload
from proxy.wire import Head, MultipartModel, boundary_of

_IN_MEMORY_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024


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

    def __init__(
        self, model: str, head: Head, form: MultipartModel, before: "_Kept", rest: DecodedPieces, length: int | None
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
    async def read(cls, request: Request, pieces: DecodedPieces) -> "StreamedForm":
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
        """What the header of that name tells of which requests belong together; a form says nothing of the kind."""
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
        self._file: IO[bytes] = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
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
