"""A provider that answers with recorded bytes and keeps the exact bytes of each request, over a bare socket."""

import asyncio
import random
from collections.abc import Sequence
from typing import NamedTuple, Self

Headers = list[tuple[str, str]]


class Received(NamedTuple):
    """One request as it came in."""

    request_line: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> list[str]:
        """All values of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Reply(NamedTuple):
    """What to answer: whole with a Content-Length, or chunked, cut at the given places."""

    status: int
    headers: Headers
    body: bytes
    cuts: Sequence[int] | None = None


def random_cuts(body: bytes, chance: random.Random) -> list[int]:
    """Places at which to cut a body, also inside characters and line ends."""
    return (
        sorted(chance.sample(range(1, len(body)), min(chance.randint(0, 12), len(body) - 1))) if len(body) > 1 else []
    )


class RecordedProvider:
    """Answers each request with `reply`, whatever was asked; an async context manager."""

    def __init__(self) -> None:
        self.reply = Reply(200, [], b"")
        self.received: list[Received] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.received.append(await _read_request(reader))
                for piece in _pieces(self.reply):
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
    fields = {name.lower(): value for name, value in headers}
    if fields.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(fields.get("content-length", 0)))
    return Received(head[0], headers, body)


def _pieces(reply: Reply) -> list[bytes]:
    framing = f"Content-Length: {len(reply.body)}" if reply.cuts is None else "Transfer-Encoding: chunked"
    lines = [f"HTTP/1.1 {reply.status} Recorded", *(f"{name}: {value}" for name, value in reply.headers), framing]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    if reply.cuts is None:
        return [head, reply.body]
    ends = [*reply.cuts, len(reply.body)]
    chunks = [reply.body[start:end] for start, end in zip([0, *reply.cuts], ends, strict=True)]
    return [head, *(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk), b"0\r\n\r\n"]
