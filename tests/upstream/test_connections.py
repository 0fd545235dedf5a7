"""Connections to a provider: when one is used again, and when not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest

from proxy.app import Proxy
from proxy.outbox import Outbox
from proxy.upstream.broken import BrokenError, Phase, SilenceError
from proxy.upstream.connection import Connection
from proxy.upstream.dial import Dialer
from proxy.upstream.requests import Payload
from tests.conftest import MakeProxy, url

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
ASK = {"model": "up:m", "messages": []}
Respond = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Counting:
    """A provider that counts its connections and requests; `respond` gets the request's number on its connection."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self.connections = 0
        self.requests = 0
        self.gone = asyncio.Queue[int]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = 0
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                self.requests += 1
                if b"transfer-encoding" not in head and b"x-slow" not in head:
                    await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
                number += 1
                await self._respond(number, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.put_nowait(number)
            writer.close()


@pytest.fixture
async def behind(make_proxy: MakeProxy) -> AsyncIterator[Callable[[Respond], Awaitable[tuple[Proxy, Counting]]]]:
    async with AsyncExitStack() as stack:

        async def start(respond: Respond) -> tuple[Proxy, Counting]:
            provider = Counting(respond)
            server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
            stack.callback(server.close)
            origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await make_proxy(providers={"up": {"base_url": origin}}), provider

        yield start


Behind = Callable[[Respond], Awaitable[tuple[Proxy, Counting]]]


async def ask(http: aiohttp.ClientSession, proxy: Proxy) -> int:
    async with http.post(url(proxy, "/v1/x"), json=ASK) as response:
        await response.read()
        return response.status


async def test_one_connection_serves_many_requests(behind: Behind, http: aiohttp.ClientSession) -> None:
    """Requests one after the other share a connection; at the same time each has its own."""
    together = asyncio.Event()

    async def respond(_: int, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if provider.requests == 30:
            together.set()
        if provider.requests > 20:
            await together.wait()
        writer.write(OK)

    proxy, provider = await behind(respond)
    assert [await ask(http, proxy) for _ in range(20)] == [200] * 20
    assert provider.connections == 1
    assert await asyncio.gather(*(ask(http, proxy) for _ in range(10))) == [200] * 10
    assert provider.connections == 10


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"more",
    ],
    ids=["close", "HTTP/1.0", "garbage"],
)
async def test_what_is_not_used_again(answer: bytes, behind: Behind, http: aiohttp.ClientSession) -> None:
    """A connection that says it ends, or on which anything else came, serves one request."""

    async def respond(_: int, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    proxy, provider = await behind(respond)
    assert [await ask(http, proxy) for _ in range(3)] == [200] * 3
    assert provider.connections == 3


async def test_a_connection_that_the_provider_closed_is_not_used(behind: Behind, http: aiohttp.ClientSession) -> None:
    """A provider that closes a resting connection costs no request."""

    async def respond(_: int, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()

    proxy, provider = await behind(respond)
    for _ in range(5):
        assert await ask(http, proxy) == 200
        await provider.gone.get()
    assert provider.connections == 5


async def test_an_answer_that_was_not_read_to_its_end(behind: Behind, http: aiohttp.ClientSession) -> None:
    """A client that leaves in the middle ends the provider's connection; it is not drained for the next."""

    async def respond(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nx")
        await reader.read()

    proxy, provider = await behind(respond)
    async with http.post(url(proxy, "/v1/x"), json=ASK) as response:
        await response.content.readany()
        response.close()
    async with asyncio.timeout(1):
        await provider.gone.get()


async def test_an_answer_before_the_upload_is_over(behind: Behind, http: aiohttp.ClientSession) -> None:
    """A provider that refuses an upload at its beginning is heard at once."""
    go_on = asyncio.Event()

    async def respond(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"begin")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")

    async def form() -> AsyncIterator[bytes]:
        yield b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nup:m\r\n--X\r\n'
        yield b'Content-Disposition: form-data; name="file"; filename="f"\r\n\r\nbegin' + b"x" * 100
        await go_on.wait()
        yield b"\r\n--X--\r\n"

    proxy, _ = await behind(respond)
    headers = {"Content-Type": "multipart/form-data; boundary=X"}
    async with asyncio.timeout(5), http.post(url(proxy, "/v1/audio/x"), data=form(), headers=headers) as response:
        assert response.status == 413
        go_on.set()


async def test_a_form_that_turns_out_bad_on_its_way(behind: Behind, http: aiohttp.ClientSession) -> None:
    """A form whose end is missing is the client's mistake, even though the provider had got its beginning."""

    async def respond(_: int, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await reader.read()

    proxy, provider = await behind(respond)
    form = b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nup:m\r\n--X\r\n\r\nbroken off'
    headers = {"Content-Type": "multipart/form-data; boundary=X", "X-Slow": "1"}
    async with http.post(url(proxy, "/v1/audio/x"), data=form, headers=headers) as response:
        assert response.status == 400
        assert "cut short" in await response.text()
    assert await provider.gone.get() == 1


@pytest.mark.parametrize(
    ("answers", "phase", "received", "reused"),
    [
        ([b""], Phase.HEAD, False, False),
        ([b"HTTP/1.1 200"], Phase.HEAD, True, False),
        ([OK, b""], Phase.HEAD, False, True),
        ([OK, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"], Phase.BODY, True, True),
    ],
    ids=["nothing came", "a part of the head", "closed while it rested, perhaps", "in the body"],
)
async def test_a_break_knows_how_far_it_had_come(
    answers: list[bytes], phase: Phase, received: bool, reused: bool
) -> None:
    """Whether anything came back, and whether the connection had served before, can be told apart."""

    async def respond(number: int, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answers[number - 1])
        if number == len(answers):
            raise ConnectionAbortedError

    server = await asyncio.start_server(Counting(respond).serve, "127.0.0.1", 0)
    connection = await Dialer("127.0.0.1", server.sockets[0].getsockname()[1], None, None).open(5)
    for _ in answers[1:]:
        await exchange(connection)
    with pytest.raises(BrokenError) as broken:
        await exchange(connection)
    server.close()

    assert (broken.value.phase, broken.value.received, broken.value.reused) == (phase, received, reused)


async def exchange(connection: Connection) -> None:
    """One whole exchange."""
    head = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    await connection.exchange(head, Payload((), 0), Outbox(asyncio.get_running_loop()), limit_s=5)
    if connection.error is not None:
        raise connection.error
    sink = Drain()
    connection.pour(sink, 5)
    if (error := await sink.over) is not None:
        raise error


class Drain:
    """A sink that keeps nothing but the end."""

    def __init__(self) -> None:
        self.over: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> None: ...

    def close(self, error: BaseException | None) -> None:
        self.over.set_result(error)


async def test_what_was_never_connected_breaks_in_connecting() -> None:
    """A port where nobody listens, and a time limit that is over at once, are breaks before anything was sent."""
    for port, limit_s, kind in ((9, 5.0, BrokenError), (9, 1e-9, SilenceError)):
        with pytest.raises(kind) as broken:
            await Dialer("127.0.0.1", port, None, None).open(limit_s)
        assert broken.value.phase is Phase.CONNECT
