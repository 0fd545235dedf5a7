"""Stopping, and one process taking over from another: nobody who is connected loses a request."""

import asyncio
import json
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import yaml

from proxy.app import Proxy, event_loop
from proxy.config import settings_from
from proxy.simulator import StrawProvider
from tests.conftest import MakeProxy, provider_section
from tests.gateway.raw_client import GET, connect, read_answer, rest
from tests.test_program import program

Serve = Callable[[], Awaitable[Process]]
CLIENTS = 12
ANSWERS_BETWEEN = 60
HANDOVERS = 3


async def test_a_resting_connection_gets_one_more_answer(make_proxy: MakeProxy) -> None:
    """A stop closes no connection at rest under a request that is on its way: it is answered, as the last one."""
    proxy = await make_proxy(server={"shutdown_idle_s": 10})
    asks_again, never_asked = [await connect(proxy) for _ in range(2)]
    asks_again[1].write(GET)
    _, head, _ = await read_answer(asks_again[0])
    assert b"connection: close" not in head.lower()
    stopping = asyncio.gather(*(listener.drain() for listener in proxy._listeners))
    for reader, writer in (asks_again, never_asked):
        writer.write(GET.replace(b"healthz", b"readyz"))
        status, head, _ = await read_answer(reader)
        assert (status, b"connection: close" in head.lower()) == (200, True)
        assert await rest(reader) == b""
        writer.close()
    with pytest.raises(ConnectionError):
        await connect(proxy)
    async with asyncio.timeout(5):
        await stopping


async def test_resting_connections_hold_up_a_stop_for_a_little_while(make_proxy: MakeProxy) -> None:
    """Those that nothing comes on are closed after `shutdown_idle_s`, and then the stop is over."""
    proxy = await make_proxy(server={"shutdown_idle_s": 0.05})
    reader, writer = await connect(proxy)
    writer.write(GET)
    await read_answer(reader)
    async with asyncio.timeout(5):
        await asyncio.gather(*(listener.drain() for listener in proxy._listeners))
    assert await rest(reader) == b""
    writer.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, event_loop], ids=["asyncio", "uvloop"])
def test_who_waits_to_be_accepted_is_answered(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Connections that the system made before the stop, and the loop hasn't seen, are accepted and get an answer."""

    async def run() -> list[bytes]:
        settings = settings_from({"server": {"listen": "127.0.0.1:0", "shutdown_idle_s": 5}})
        async with Proxy(settings) as proxy:
            # Without an await, so that the loop doesn't get to accept them before it is told to stop.
            clients = [socket.create_connection((proxy.address.host, proxy.address.port)) for _ in range(20)]
            for client in clients:
                client.sendall(GET)
                client.setblocking(False)
            stopping = asyncio.gather(*(listener.drain() for listener in proxy._listeners))
            answers = [await _all_of(client) for client in clients]
            await stopping
            return answers

    with asyncio.Runner(loop_factory=new_loop) as runner:
        answers = runner.run(asyncio.wait_for(_never_late(run), 20))
    assert all(answer.startswith(b"HTTP/1.1 200 OK") and b"onnection: close" in answer for answer in answers)


async def _never_late(run: Callable[[], Awaitable[list[bytes]]]) -> list[bytes]:
    return await run()


async def _all_of(client: socket.socket) -> bytes:
    """What a client is sent, to the end of its connection."""
    received = b""
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(client, 65536):
        received += piece
    client.close()
    return received


@pytest.fixture
async def serve(tmp_path: Path, straw: StrawProvider) -> AsyncIterator[tuple[str, Serve]]:
    """An address, and what starts a process there beside those that are there already, once it takes traffic."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        config = tmp_path / "proxy.yaml"
        server = {"listen": address, "reuse_port": True, "shutdown_idle_s": 1}
        models = {"fast": {"endpoints": [{"provider": "straw", "model_id": "straw-small"}]}}
        providers = {"straw": provider_section(straw)}
        config.write_text(yaml.safe_dump({"server": server, "providers": providers, "models": models}))
        async with AsyncExitStack() as stack:

            async def start() -> Process:
                process = await stack.enter_async_context(
                    program("serve", "--log-level", "error", "--config", str(config))
                )
                assert process.stdout is not None
                async with asyncio.timeout(20):
                    assert address.encode() in await process.stdout.readline()
                return process

            yield f"http://{address}", start


async def test_a_restart_under_load_loses_no_request(serve: tuple[str, Serve]) -> None:
    """New processes take over from old ones while clients ask: on kept connections, on new ones, streamed and not."""
    origin, start = serve
    done = asyncio.Event()
    answered = 0
    more = asyncio.Condition()

    async def keep_asking(number: int) -> None:
        nonlocal answered
        body = {"model": "fast", "messages": [{"role": "user", "content": "Who?"}], "stream": number % 2 == 0}
        headers = {"Connection": "close"} if number % 3 == 0 else {}
        async with aiohttp.TCPConnector(limit=1) as connector, aiohttp.ClientSession(connector=connector) as session:
            while not done.is_set():
                async with session.post(f"{origin}/v1/chat/completions", json=body, headers=headers) as response:
                    text = await response.text()
                    assert response.status == 200, text
                    assert text.endswith("data: [DONE]\n\n") if body["stream"] else json.loads(text)["choices"]
                async with more:
                    answered += 1
                    more.notify_all()

    async def answers(count: int) -> None:
        until = answered + count
        async with more, asyncio.timeout(30):
            await more.wait_for(lambda: answered >= until)

    old = await start()
    async with asyncio.TaskGroup() as asking:
        for number in range(CLIENTS):
            asking.create_task(keep_asking(number))
        for _ in range(HANDOVERS):
            await answers(ANSWERS_BETWEEN)
            new = await start()
            await answers(ANSWERS_BETWEEN)
            old.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await old.wait() == 0
            old = new
        await answers(ANSWERS_BETWEEN)
        done.set()
