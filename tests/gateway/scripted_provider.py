"""A provider whose every byte is decided by the test: a coroutine that gets the bare connection behind each request."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

Script = Callable[["Connection"], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = HEAD % b"text/event-stream"


class Connection:
    """One connection from the proxy, with its request read.

    Attributes:
        body: the request's.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
        self.body = body
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def send_chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body; an empty one ends it."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def read_until(self, end: bytes) -> None:
        """Wait for these bytes behind the request."""
        await self._reader.readuntil(end)

    async def closed(self) -> None:
        """Wait until the proxy has closed the connection."""
        while await self._reader.read(65536):
            pass

    def reset(self) -> None:
        """Cut the connection off, like a crash."""
        self._writer.transport.abort()


class ScriptedProvider:
    """Runs `script` for each request; an async context manager."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.section = {"base_url": f"{self.origin}/v1", "protocols": {"openai": "", "anthropic": ""}, "api_key": "key"}
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            await self._script(Connection(reader, writer, body))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):  # the last when the test is over
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
