"""The rest of a large body, from the socket straight to its place in memory.

What comes by way of `data_received` has been copied once already when it is told, and would have to be copied again to
stand in one piece.
"""

import asyncio
from typing import Final

from proxy.gateway.parser import RequestParser
from proxy.gateway.request import Request

# A client that announces much and sends little gets no more memory than this ahead of what it sends.
_AHEAD: Final = bytes(512 * 1024)


class RestOfBody(asyncio.BufferedProtocol):
    """Reads from a connection up to the end of a body whose length is known, and gives it back.

    Args:
        transport: what is read from.
        connection: the protocol that it is read for.
        parser: has read the head of the request and the beginning of its body.
        request: whose body it is.
        body: what is here of it; the rest is put behind.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        connection: asyncio.Protocol,
        parser: RequestParser,
        request: Request,
        body: bytearray,
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._parser = parser
        self._request = request
        self._body = body
        self._size = len(body)
        self._length = request.content_length or 0

    # What the event loop calls.

    def get_buffer(self, _: int) -> memoryview:
        """Where the next bytes go."""
        if len(self._body) == self._size:
            self._body += _AHEAD[: self._length - self._size]
        return memoryview(self._body)[self._size :]

    def buffer_updated(self, size: int) -> None:
        """So many bytes have come."""
        self._size += size
        if self._size < self._length:
            self._request.wake()
            return
        # At once, for what comes next belongs to another request.
        self._transport.set_protocol(self._connection)
        self._parser.skip_rest()
        # uvloop remembers the last one that it asked for a buffer.
        self._body = bytearray()

    def pause_writing(self) -> None:
        """See the connection."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """See the connection."""
        self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See the connection."""
        self._connection.connection_lost(exc)
