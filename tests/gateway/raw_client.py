"""A client that writes its own bytes, and what its tests ask for."""

import asyncio
import re

from proxy.app import Proxy
from tests.gateway.scripted_provider import Connection

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def answers(connection: Connection) -> None:
    await connection.send(ANSWER)


def ask(size: int = 0, *lines: bytes, version: bytes = b"1.1", model: bytes = b"provider:m") -> bytes:
    """A request to the provider with a body of at least this size."""
    body = b'{"model": "%b", "x": "%b"}' % (model, b"y" * size)
    head = b"POST /v1/chat/completions HTTP/%b\r\nHost: 127.0.0.1\r\n%b" % (
        version,
        b"".join(line + b"\r\n" for line in lines),
    )
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


async def connect(proxy: Proxy) -> Streams:
    return await asyncio.open_connection(proxy.address.host, proxy.address.port)


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> tuple[int, bytes, bytes]:
    """Status, head and body of an answer that has a length."""
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length and has_body else b""
    return int(head[9:12]), head, body


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All up to the end of the connection."""
    async with asyncio.timeout(20):
        return await reader.read()


def open_connections(proxy: Proxy) -> int:
    return sum(len(listener._connections.open) for listener in proxy._listeners)


async def gone(proxy: Proxy) -> None:
    """Wait until the proxy has let go of every client."""
    async with asyncio.timeout(20):
        while open_connections(proxy):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
