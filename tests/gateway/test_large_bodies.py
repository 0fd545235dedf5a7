"""Large bodies go straight to their place: every byte of them, nothing of what follows, and no more room than is sent."""

import asyncio
import random
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import pytest

from proxy.app import Proxy, event_loop
from proxy.config import settings_from
from proxy.gateway.rest_of_body import RestOfBody
from tests.gateway.conftest import Start
from tests.gateway.raw_client import answers, connect, gone, read_answer, rest
from tests.gateway.scripted_provider import Connection, Script, ScriptedProvider
from tests.upstream.loopback import until

MB = 1024 * 1024
Loop = Callable[[], asyncio.AbstractEventLoop]
T = TypeVar("T")


def large(size: int, seed: int, *lines: bytes) -> bytes:
    """A request with at least so many bytes, no two stretches of them alike, and the model behind them."""
    text = random.Random(seed).randbytes(size // 2).hex().encode()
    body = b'{"x": "%b", "model": "provider:m"}' % text
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"".join(line + b"\r\n" for line in lines)
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def expected(request: bytes) -> bytes:
    """The body as the provider has to get it."""
    return request.partition(b"\r\n\r\n")[2].replace(b'"provider:m"', b'"m"')


class Provider:
    """A script that keeps what it is sent, and says how much that was."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, connection: Connection) -> None:
        self.bodies.append(connection.body)
        size = b"%d" % len(connection.body)
        await connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(size) + size)


@pytest.fixture(params=[event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Loop:
    """Event loops read into a buffer of others each in its own way."""
    make: Loop = request.param
    return make


def run(loop: Loop, script: Script, use: Callable[[Proxy], Awaitable[T]]) -> T:
    """Use a proxy whose provider follows the script."""

    async def use_one() -> T:
        async with AsyncExitStack() as stack:
            straw = await stack.enter_async_context(ScriptedProvider(script))
            server = {"listen": "127.0.0.1:0", "shutdown_idle_s": 0}
            settings = settings_from({"server": server, "providers": {"provider": straw.section}})
            return await use(await stack.enter_async_context(Proxy(settings)))

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(use_one())


def test_large_bodies_one_behind_the_other(loop: Loop) -> None:
    """Bodies of all sizes on one connection, cut anywhere, each request sent without waiting for an answer."""
    dice = random.Random(7)
    sizes = [3 * MB, 100, 600_000, 512 * 1024, 524_000, 20, 2 * MB, 300_000]
    requests = [large(size, seed) for seed, size in enumerate(sizes)]
    # llhttp takes what stands behind such a head for another protocol's.
    requests.insert(3, large(MB, 9, b"Connection: Upgrade", b"Upgrade: h2c"))
    provider = Provider()

    async def exchange(proxy: Proxy) -> list[tuple[int, bytes, bytes]]:
        reader, writer = await connect(proxy)
        sending = asyncio.create_task(_send_in_pieces(writer, b"".join(requests), dice))
        got = [await read_answer(reader) for _ in requests]
        await sending
        writer.close()
        return got

    got = run(loop, provider, exchange)

    assert provider.bodies == [expected(request) for request in requests]
    assert [(status, int(body)) for status, _, body in got] == [(200, len(body)) for body in provider.bodies]


async def _send_in_pieces(writer: asyncio.StreamWriter, data: bytes, dice: random.Random) -> None:
    position = 0
    while position < len(data):
        size = dice.choice((1, 100, 65_536, 300_000, 1_000_000))
        writer.write(data[position : position + size])
        position += size
        await writer.drain()
        await asyncio.sleep(0)


async def test_a_large_body_that_is_invited(scripted: Start) -> None:
    """A client that waits to be told that its body is wanted is told so, once."""
    provider = Provider()
    proxy = await scripted(provider)
    request = large(2 * MB, 1, b"Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    reader, writer = await connect(proxy)
    writer.write(head + b"\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    status, _, _ = await read_answer(reader)
    writer.close()

    assert status == 200
    assert provider.bodies == [expected(request)]


async def test_a_large_body_that_stops(scripted: Start) -> None:
    """It is answered 408, also to a client that goes on behind that, and nothing goes to the provider."""
    provider = Provider()
    proxy = await scripted(provider, client_idle_s=0.1)
    request = large(3 * MB, 2)
    reader, writer = await connect(proxy)
    writer.write(request[:MB])
    status, head, _ = await read_answer(reader)
    writer.write(request[MB:] + request)
    writer.write_eof()

    assert status == 408
    assert b"Connection: close" in head
    assert await rest(reader) == b""
    writer.close()
    await gone(proxy)
    assert not provider.bodies


async def test_a_client_that_leaves_within_a_large_body(scripted: Start) -> None:
    """Nothing of it is left, and nothing has gone to the provider."""
    provider = Provider()
    proxy = await scripted(provider)
    _, writer = await connect(proxy)
    writer.write(large(3 * MB, 3)[:MB])
    await writer.drain()
    await until(lambda: _straight(proxy))
    writer.transport.abort()

    await gone(proxy)
    assert not provider.bodies


def test_the_room_of_large_bodies(loop: Loop) -> None:
    """A client that announces much gets little more room than it sends, and none for what has been answered."""
    whole = large(8 * MB, 4)
    begun = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000000\r\n\r\n" + b" " * MB

    async def measure(proxy: Proxy) -> tuple[int, int]:
        clients = [await connect(proxy) for _ in range(4)]
        for reader, writer in clients:
            writer.write(whole)
            assert (await read_answer(reader))[0] == 200
        answered, _ = tracemalloc.get_traced_memory()
        for _, writer in clients:
            writer.write(begun)
            await writer.drain()
        await until(lambda: _straight(proxy) == len(clients))
        announced, _ = tracemalloc.get_traced_memory()
        for _, writer in clients:
            writer.close()
        return answered, announced

    tracemalloc.start()
    try:
        answered, announced = run(loop, answers, measure)
    finally:
        tracemalloc.stop()

    assert answered < 4 * MB
    assert announced < 16 * MB


def _straight(proxy: Proxy) -> int:
    """How many connections read a body straight to its place."""
    transports = [each._transport for listener in proxy._listeners for each in listener._connections.open]
    return sum(isinstance(each.get_protocol(), RestOfBody) for each in transports if each is not None)
