"""What providers do: well, or one of the many ways of failing."""

import asyncio
import socket
import struct
import zlib
from base64 import b64decode
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from time import time
from typing import NamedTuple

from tests.faults.words import Words
from tests.gateway.scripted_provider import Connection

CHUNKED = b"Transfer-Encoding: chunked\r\n"
LONG_LINE_BYTES = 10_000_000

_BR = b64decode(
    "G4sAgBwHdiwzMi1OwtOBKEaQt1TtskCVqkhgRpM+Fbr6UoelD2RywB4GeI+uhW05BJ2xkjRvQXUL+VsKe6JKcrDqeHYh11j/HTGQ"
    "mvEmrvRWeogoJStIEXDgju4bevZXiQk="
)
_ZSTD = b64decode(
    "KLUv/SSMjQMAYggaGYBtDkRwVcRR6D9PIu+pB0EKScAFYqKbGgFrJYVxEMhaVVJVj5Gl61tyy7mn9K0juzNBP7GT8BSih3jhfHv2"
    "5vrIbjZng95xN3727IyM3gZywuboNHODbm+v7+VFmWcfrnfwFKCtmwsBAH5gMFEBJ6Ry"
)


class Scene(NamedTuple):
    """One request at a provider.

    Attributes:
        connection: how to answer it.
        words: the answer that would be right.
        is_begun: set once the client has the head of its answer; what breaks after that breaks in the middle.
    """

    connection: Connection
    words: Words
    is_begun: asyncio.Event

    async def begin(self, status: int = 200, more: bytes = CHUNKED, version: bytes = b"1.1") -> None:
        """Send a head."""
        head = b"HTTP/%b %d Said\r\nContent-Type: %b\r\n%b\r\n"
        await self.connection.send(head % (version, status, self.words.kind, more))

    async def begin_content(self, more: bytes = CHUNKED) -> None:
        """Send a head and the beginning of the answer, and wait until the client has seen of it."""
        await self.begin(more=more)
        piece = self.words.opening + self.words.content
        await (self.connection.send_chunk(piece) if more is CHUNKED else self.connection.send(piece))
        await self.is_begun.wait()


Act = Callable[[Scene], Awaitable[None]]


# Before the head.


async def silence(scene: Scene) -> None:
    await scene.connection.closed()


async def close(scene: Scene) -> None:
    """The connection is closed behind every script."""


async def reset(scene: Scene) -> None:
    linger: socket.socket = scene.connection._writer.get_extra_info("socket")
    # Closing throws away what was not sent, and says RST rather than FIN.
    linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    scene.connection.reset()


async def garbage(scene: Scene) -> None:
    await scene.connection.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


async def oversized_head(scene: Scene) -> None:
    await scene.begin(more=b"X-Padding: %b\r\n" % (b"x" * 100_000))


# Unusual, and no failure.


async def well(scene: Scene) -> None:
    await scene.begin()
    await scene.connection.send_chunk(scene.words.all)
    await scene.connection.send_chunk(b"")


async def interim(scene: Scene) -> None:
    await scene.connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    await well(scene)


async def until_closed(scene: Scene) -> None:
    await scene.begin(more=b"", version=b"1.0")
    await scene.connection.send(scene.words.all)


async def drip(scene: Scene) -> None:
    await scene.begin()
    for byte in scene.words.all:
        await scene.connection.send_chunk(bytes((byte,)))
        await asyncio.sleep(0)  # lets it out alone
    await scene.connection.send_chunk(b"")


async def long_line(scene: Scene) -> None:
    words = scene.words
    await scene.begin()
    long = words.content.replace(b"well", b"w" * LONG_LINE_BYTES)
    for piece in (words.opening, long, words.ending, b""):
        await scene.connection.send_chunk(piece)


async def keepalive_race(scene: Scene) -> None:
    await well(scene)
    # The next request on this connection is read, and the connection closed.
    await scene.connection.read_until(b'"messages"')


def bodiless(status: int) -> Act:
    async def act(scene: Scene) -> None:
        await scene.connection.send(b"HTTP/1.1 %d Said\r\n\r\n" % status)

    return act


def encoded(coding: bytes, body: bytes) -> Act:
    async def act(scene: Scene) -> None:
        await scene.begin(more=CHUNKED + b"Content-Encoding: %b\r\n" % coding)
        await scene.connection.send_chunk(body)
        await scene.connection.send_chunk(b"")

    return act


def encodings() -> dict[bytes, bytes]:
    """The same stream of events in each content coding; Python 3.11 itself can only do the first."""
    gzip = zlib.compressobj(wbits=31)
    plain = b'data: {"choices":[{"index":0,"delta":{"content":"well"}}]}\n\ndata: [DONE]\n\n'
    return {b"gzip": gzip.compress(plain) + gzip.flush(), b"br": _BR, b"zstd": _ZSTD}


# Refusals.


def status(code: int, more: Callable[[], bytes] = bytes) -> Act:
    """An error, with more header fields."""
    body = b'{"type":"error","error":{"type":"some_error","message":"no"}}'

    async def act(scene: Scene) -> None:
        head = b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
        await scene.connection.send(head % (code, more(), len(body)) + body)

    return act


def retry_after_seconds() -> bytes:
    return b"Retry-After: 7\r\n"


def retry_after_date() -> bytes:
    return b"Retry-After: %b\r\n" % formatdate(time() + 30, usegmt=True).encode()


# In the body.


async def head_alone(scene: Scene) -> None:
    await scene.begin()


def opening(*, then: Act) -> Act:
    """A stream that comes as far as its preamble."""

    async def act(scene: Scene) -> None:
        await scene.begin()
        await scene.connection.send_chunk(scene.words.opening)
        await then(scene)

    return act


def half(*, then: Act, framed: bytes = CHUNKED) -> Act:
    """An answer whose first half, or content, has reached the client."""

    async def act(scene: Scene) -> None:
        await scene.begin_content(framed)
        await then(scene)

    return act


async def tell_error(scene: Scene) -> None:
    await scene.connection.send_chunk(scene.words.error)
    await scene.connection.send_chunk(b"")


async def end(scene: Scene) -> None:
    await scene.connection.send_chunk(b"")


async def empty(scene: Scene) -> None:
    await scene.begin()
    await end(scene)


async def error_first(scene: Scene) -> None:
    await scene.begin()
    await tell_error(scene)


async def bad_chunk(scene: Scene) -> None:
    await scene.connection.send(b"what?\r\n")


async def bad_chunk_at_once(scene: Scene) -> None:
    # In one piece with the head: nothing can have been passed on yet.
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%b\r\nwhat?\r\n"
    await scene.connection.send(head % (scene.words.kind, CHUNKED))
