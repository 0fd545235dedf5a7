"""A provider that keeps count: each request that reaches it, to the byte, and whatever reaches it that is none."""

import asyncio
import re
from typing import NamedTuple, Self

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")


class Counted(NamedTuple):
    """One request as it came in."""

    target: str
    head: bytes
    body: bytes

    @property
    def mark(self) -> bytes:
        """What its sender called it."""
        found = re.search(rb"\r\nx-mark: (\w+)\r\n", self.head)
        return found[1] if found else b"?"


class CountingProvider:
    """Answers each request with its own mark; an async context manager.

    It knows requests only as the proxy writes them: with one length, in that spelling, and nothing between them.

    Attributes:
        requests: all that came.
        stray: bytes that came and belong to none.
    """

    def __init__(self) -> None:
        self.requests: list[Counted] = []
        self.stray: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1024 * 1024)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = _LENGTH.findall(head)
                if len(lengths) != 1 or b"transfer-encoding" in head.lower() or not head.startswith(b"POST /"):
                    self.stray.append(head)
                    return
                body = await reader.readexactly(int(lengths[0]))
                self.requests.append(request := Counted(head.split(b" ")[1].decode(), head, body))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.mark), request.mark))
        except asyncio.IncompleteReadError as end:
            if end.partial:
                self.stray.append(end.partial)
        except ConnectionError:
            pass
        finally:
            writer.close()
