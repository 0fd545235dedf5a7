"""A provider with faults: the request names the one that it wants."""

import asyncio
import re
import socket
import struct
from typing import Self

EVENT = b'data: {"number": %d, "part": %d}\n\n'
EVENTS = 20
BIG = 1024 * 1024

FAULTS = (
    "none",
    "none",
    "stream",
    "stream",
    "big",
    "unframed",
    "says close",
    "close before head",
    "reset before head",
    "reset after head",
    "reset in stream",
    "close in stream",
    "close when idle",
    "garbage behind",
    "bad chunk",
    "stall before head",
    "stall in preamble",
    "stall in stream",
    "answer unread",
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "none": b"HTTP/1.1 200 OK\r\nLENGTH\r\n\r\nBODY",
    "unframed": b"HTTP/1.1 200 OK\r\n\r\nBODY",
    "says close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nLENGTH\r\n\r\nBODY",
    "close when idle": b"HTTP/1.1 200 OK\r\nLENGTH\r\n\r\nBODY",
    "garbage behind": b"HTTP/1.1 200 OK\r\nLENGTH\r\n\r\nBODYHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned",
    "bad chunk": HEAD + b"zz\r\n",
    "reset after head": HEAD,
    "stall in preamble": HEAD + b"9\r\n: hello\n\n\r\n",
}


def answer_to(number: int) -> bytes:
    """The body of the whole answer to a request."""
    return b'{"number": %d}' % number


def events_for(number: int) -> bytes:
    """The body of the streamed answer to a request."""
    return b"".join(EVENT % (number, part) for part in range(EVENTS))


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset, whatever is still under way on it."""
    if (connection := writer.get_extra_info("socket")) is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class FaultyProvider:
    """Reads a request, and does what its `x-fault` says; an async context manager.

    Attributes:
        open: connections from the proxy.
    """

    def __init__(self) -> None:
        self.open = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await self._exchange(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether another may follow."""
        head = await reader.readuntil(b"\r\n\r\n")
        number, fault = re.search(rb"\r\nx-number: (\d+)\r\nx-fault: ([a-z ]+)\r\n", head).groups()  # type: ignore[union-attr] # sent
        if head.startswith(b"GET "):
            await _echo(reader, writer, fault.decode())
            return False
        if fault == b"answer unread":
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            return False
        if length := re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head):
            await reader.readexactly(int(length[1]))
        else:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        return await _answer(reader, writer, int(number), fault.decode())


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, fault: str) -> bool:
    if fault.endswith("stream"):
        await _stream(writer, number, EVENTS if fault == "stream" else EVENTS // 2)
        if fault == "stream":
            writer.write(b"0\r\n\r\n")
    elif fault == "big":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        for _ in range(BIG // 65536):
            writer.write(b"x" * 65536)
            await writer.drain()
    else:
        body = answer_to(number)
        length = b"Content-Length: %d" % len(body)
        writer.write(WHOLE.get(fault, b"").replace(b"LENGTH", length).replace(b"BODY", body))
    if fault.startswith("reset"):
        await asyncio.sleep(0)
        reset(writer)
    elif fault.startswith("stall"):
        await reader.read()
    return fault in {"none", "stream", "big", "garbage behind"}


async def _stream(writer: asyncio.StreamWriter, number: int, events: int) -> None:
    writer.write(HEAD)
    for part in range(events):
        event = EVENT % (number, part)
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        # Each event by itself, as a model writes them.
        await asyncio.sleep(0)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str) -> None:
    """Switch protocols, and send back what comes, or as much of it as the fault allows."""
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    rounds = 0
    while piece := await reader.read(65536):
        writer.write(piece)
        rounds += 1
        if rounds == 3 and fault == "reset in stream":
            reset(writer)
            return
        if rounds == 3 and fault == "close in stream":
            return
