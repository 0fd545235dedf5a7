"""A client's request: its head, and its body as it comes."""

import asyncio
from typing import Final
from typing import Protocol as Interface

from proxy.errors import ProxyError, RequestTimeoutError
from proxy.wire import Head

# What may wait here for its reader before reading from the client pauses.
_BUFFER_BYTES: Final = 256 * 1024
_LARGE_BYTES: Final = 64 * 1024


class Flow(Interface):
    """Where the body comes from."""

    def pause_body(self) -> None:
        """Take nothing more from the client."""
        ...

    def resume_body(self) -> None:
        """Take more."""
        ...

    def gather(self, body: bytearray, request: "Request") -> None:
        """Put the rest of a request's body behind its beginning, up to the end; `wake` the request with each piece."""
        ...

    def invite_body(self) -> None:
        """Tell the client that its body is wanted (RFC 9110 §10.1.1)."""
        ...


class Request:
    """One request on a connection.

    Attributes:
        client: the address that it came from.
        method: as sent.
        path, query: of the target, still percent-encoded; the query without its question mark.
        head: the header fields.
        content_length: as announced; None if the body is chunked, or there is none.
        is_complete: whether all of the body has come. The body of a request for a WebSocket is what comes behind it.
        is_1_1: whether the client speaks HTTP/1.1, not 1.0.
        keep_alive: whether the client wants to use the connection again.
        upgrade: the protocol that it asks to switch to, in lower case; "" if none.
        is_chunked: whether the body comes in chunks.
        awaits_invitation: whether the client waits to be told that its body is wanted.
    """

    def __init__(self, flow: Flow, client: str, method: str, path: str, query: str, head: Head) -> None:
        self._flow = flow
        self.client = client
        self.method = method
        self.path = path
        self.query = query
        self.head = head
        self.content_length: int | None = None
        self.is_complete = False
        self.is_1_1 = True
        self.keep_alive = True
        self.upgrade = ""
        self.is_chunked = False
        self.awaits_invitation = False
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None
        self._broken: ProxyError | None = None

    def again(self, body: bytes) -> "Request":
        """Another request on the same connection, whose head differs in the length alone and whose body is here."""
        request = Request(self._flow, self.client, self.method, self.path, self.query, self.head)
        request.content_length = len(body)
        request.is_complete = True
        request._pieces.append(body)
        return request

    @property
    def is_plain(self) -> bool:
        """Whether it asks for nothing but its answer, on a connection that stays open."""
        return (
            self.is_1_1 and self.keep_alive and not (self.upgrade or self.is_chunked or b"expect" in self.head.values)
        )

    @property
    def has_body(self) -> bool:
        """Whether a body was announced."""
        return self.is_chunked or bool(self.content_length)

    @property
    def is_websocket(self) -> bool:
        """Whether the client asks for a WebSocket (RFC 6455 §4.1)."""
        return self.upgrade == "websocket" and self.method == "GET"

    async def read(self, limit_s: float) -> bytes:
        """The next piece of the body as it came, b"" at its end.

        Raises `RequestTimeoutError` if the client pauses for longer than `limit_s`, and `InvalidRequestError` if what
        it sends is not framed as it said.
        """
        while not self._pieces:
            if self.is_complete:
                return b""
            await self._more(limit_s)
        # Large pieces go one by one, for whoever reads them copies them once more as it is.
        if len(self._pieces) > 1 and len(self._pieces[0]) >= _LARGE_BYTES:
            return self._pieces.pop(0)
        return self.take()

    def take(self) -> bytes:
        """All that is here of the body."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self._buffered:
            if self._buffered > _BUFFER_BYTES:
                # Also behind the end of the body: only who reads sees the client leave.
                self._flow.resume_body()
            self._buffered = 0
        return data

    async def read_whole(self, limit_s: float) -> bytearray:
        """All of a body whose length was announced, and of which nothing has been read yet: without a copy, if large.

        Raises what `read` does.
        """
        body = bytearray(self.take())
        if not self.is_complete:
            self._flow.gather(body, self)
            while not self.is_complete:
                await self._more(limit_s)
        return body

    async def _more(self, limit_s: float) -> None:
        if self._broken is not None:
            raise self._broken
        if self.awaits_invitation:
            self.awaits_invitation = False
            self._flow.invite_body()
        self._waiter = asyncio.get_running_loop().create_future()
        self._flow.resume_body()
        try:
            async with asyncio.timeout(limit_s):
                await self._waiter
        except TimeoutError as error:
            raise RequestTimeoutError(f"The request body paused for more than {limit_s:g} s.") from error
        finally:
            self._waiter = None

    # What the connection tells.

    def feed(self, piece: bytes) -> None:
        """The next piece of the body."""
        self._pieces.append(piece)
        self._buffered += len(piece)
        if self._buffered > _BUFFER_BYTES:
            self._flow.pause_body()
        self.wake()

    def end(self) -> None:
        """The body is complete."""
        self.is_complete = True
        self.wake()

    def fail(self, error: ProxyError) -> None:
        """The body doesn't go on as it should."""
        self._broken = self._broken or error
        self.wake()

    def wake(self) -> None:
        """Let the reader look at what has changed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
