"""Clients with faults: each asks for something, and may not want it any more."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable

from tests.chaos.provider import answer_to, events_for, reset

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

FORM = b"Content-Type: multipart/form-data; boundary=XX\r\n"
FORM_FIELDS = (
    b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
)
FORM_END = b"\r\n--XX--\r\n"
HANDSHAKE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
SIZES = (100_000, 700_000)
"""Of bodies; one that is large goes straight to its place."""
MODELS = (b"up:m", b"up:m", b"chain", b"hedged", b"whole", b"limited", b"pooled", b"hedged queue")
"""What is asked for."""
SAFE = frozenset({"none", "stream", "unframed", "says close", "close when idle", "garbage behind"})
"""Faults that the client of a single request needn't notice."""


class WrongAnswerError(Exception):
    """A client got what is not its own."""


class Client:
    """One request with a number, by one of the `MANNERS`.

    Args:
        host, port: where to connect.
        number: of the request; the answer repeats it.
        fault: what the provider is to do.
        chance: decides details.
    """

    def __init__(self, host: str, port: int, number: int, fault: str, chance: random.Random) -> None:
        self._host, self._port = host, port
        self._number, self._fault, self._chance = number, fault, chance

    async def run(self, manner: str) -> str:
        """Behave in this manner; gives how it ended, in a word."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=64 * 1024)
        try:
            async with asyncio.timeout(30):
                return await MANNERS[manner](self, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return "closed"
        finally:
            writer.close()

    # What it sends.

    def _model(self) -> bytes:
        return b"nobody:m" if self._fault == "refuse" else MODELS[self._number % len(MODELS)]

    def _marks(self) -> bytes:
        return b"Host: x\r\nx-number: %d\r\nx-fault: %b\r\n" % (self._number, self._fault.encode())

    def _request(self, size: int = 0) -> bytes:
        body = b'{"model":"%b","x":"%b"}' % (self._model(), b"y" * size)
        line = b"POST /v1/chat/completions HTTP/1.1\r\n"
        return line + self._marks() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    # What it gets.

    async def _read(self, reader: asyncio.StreamReader) -> str:
        """Read one answer to its end, and see whether it is this client's."""
        head = await reader.readuntil(b"\r\n\r\n")
        status = head[9:12].decode()
        if length := re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head):
            body = await reader.readexactly(int(length[1]))
        else:
            body = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        if status == "200" and self._fault != "big" and body not in {answer_to(self._number), events_for(self._number)}:
            raise WrongAnswerError(f"request {self._number} ({self._fault}) got {body[:100]!r}")
        return status

    # How it behaves.

    async def asks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send it whole, read it whole, three times if that goes on."""
        result = ""
        for _ in range(3):
            writer.write(self._request())
            result = await self._read(reader)
            if self._fault in SAFE and result not in {"200", "429", "502"}:
                raise WrongAnswerError(f"request {self._number} ({self._fault}) got {result}")
        return result

    async def drips(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send it in small pieces."""
        request = self._request(100)
        size = self._chance.randint(5, 60)
        for start in range(0, len(request), size):
            writer.write(request[start : start + size])
            await asyncio.sleep(0)
        return await self._read(reader)

    async def pipelines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send several at once; the answers come in order."""
        size = self._chance.choice(SIZES)
        writer.write(self._request(size) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + self._request(300_000))
        await self._read(reader)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
        return await self._read(reader)

    async def leaves_before_the_body(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send the head alone."""
        writer.write(self._request().partition(b"{")[0])
        return await self._leave(writer)

    async def leaves_within_the_body(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send a part of the body."""
        size = self._chance.choice(SIZES)
        writer.write(self._request(size)[: self._chance.randint(300, size)])
        return await self._leave(writer)

    async def leaves_behind_the_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send it, and wait for nothing."""
        writer.write(self._request())
        for _ in range(self._chance.randint(0, 10)):
            await asyncio.sleep(0)
        await asyncio.sleep(self._chance.choice([0, 0.02, 0.1]))
        return await self._leave(writer)

    async def leaves_while_it_waits(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send it to a provider that stalls, and lose patience."""
        self._fault = self._chance.choice(["stall before head", "stall in preamble", "stall in stream"])
        writer.write(self._request())
        await asyncio.sleep(self._chance.uniform(0, 0.25))
        return await self._leave(writer)

    async def leaves_within_the_answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Read the beginning of the answer."""
        writer.write(self._request())
        await reader.read(self._chance.randint(1, 500))
        return await self._leave(writer)

    async def half_closes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send all, say so, and read what comes: nobody waits for a client that has left."""
        writer.write(self._request())
        writer.write_eof()
        await reader.read()
        return "closed"

    async def reads_slowly(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Take the answer piece by piece."""
        writer.write(self._request().replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        for _ in range(20):
            if not await reader.read(1000):
                return "closed"
            await asyncio.sleep(0.002)
        return await self._leave(writer)

    async def stops_reading(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Take nothing of the answer until the proxy has given up, or not so long."""
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's has it
        writer.write(self._request())
        await asyncio.sleep(self._chance.choice([0.01, 0.8]))
        return await self._leave(writer)

    async def sends_rubbish(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send what is no request, behind one that is or alone."""
        rubbish = [b"\x16\x03\x01", b"GET\r\n\r\n", self._request().replace(b"Host", b"Ho st"), b"A" * 700_000]
        writer.write(self._chance.choice([b"", self._request()]) + self._chance.choice(rubbish))
        await reader.read()
        return "closed"

    async def stalls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send a part of the body, and then nothing."""
        size = self._chance.choice(SIZES)
        writer.write(self._request(size)[: size // 2])
        return await self._read(reader)

    async def uploads(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send a form with a file, slowly, in chunks or with a length, maybe not to its end."""
        fields, size = FORM_FIELDS % self._model(), 200_000
        chunked = self._chance.random() < 0.5
        length = len(fields) + size + len(FORM_END)
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % length
        head = b"POST /v1/audio/transcriptions HTTP/1.1\r\n" + FORM + self._marks() + framing + b"\r\n\r\n"
        writer.write(head)
        ends_at = self._chance.choice([2, 20, 20])
        for number, piece in enumerate([fields, *[b"x" * (size // 10)] * 10, FORM_END, b""]):
            if number == ends_at:
                return await self._leave(writer)
            if chunked:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                writer.write(piece)
            await writer.drain()
            await asyncio.sleep(self._chance.choice([0, 0.001]))
        return await self._read(reader)

    async def talks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Open a WebSocket, and have it cut by either side."""
        target = b"GET /v1/realtime?model=%b HTTP/1.1\r\n" % self._model().replace(b" ", b"+")
        writer.write(target + self._marks() + HANDSHAKE + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            return head[9:12].decode()
        for _ in range(5):
            message = self._chance.randbytes(self._chance.choice([10, 1000, 50_000]))
            writer.write(message)
            if await reader.readexactly(len(message)) != message:
                raise WrongAnswerError(f"WebSocket {self._number} got another's bytes")
        return await self._leave(writer)

    async def asks_the_proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Ask for what the proxy answers itself, and change a route."""
        swap = b'{"model":"swapped","endpoints":[{"provider":"up","model_id":"m%d"}]}' % self._number
        length = b"Content-Length: %d\r\n\r\n%b" % (len(swap), swap)
        head = b""
        for raw in (b"GET /v1/models HTTP/1.1\r\n", b"POST /admin/routes HTTP/1.1\r\n", b"HEAD / HTTP/1.1\r\n"):
            writer.write(raw + b"Host: x\r\n" + (length if raw.startswith(b"POST") else b"\r\n"))
            head = await reader.readuntil(b"\r\n\r\n")
            if not raw.startswith(b"HEAD"):
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
        return head[9:12].decode()

    async def _leave(self, writer: asyncio.StreamWriter) -> str:
        if self._chance.random() < 0.5:
            reset(writer)
            return "left with a reset"
        return "left"


MANNERS: dict[str, Callable[[Client, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[str]]] = {
    name.replace("_", " "): manner
    for name, manner in vars(Client).items()
    if not name.startswith("_") and name != "run"
}
