"""A client that leaves, in whichever phase of its request: the provider is stopped at once, and nothing stays behind.

`python -m tests.chaos` has thousands of them, at moments taken by chance.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from proxy.app import Proxy
from tests.chaos.provider import reset
from tests.chaos.run import under_way
from tests.conftest import MakeProxy
from tests.gateway.raw_client import Streams, connect
from tests.gateway.scripted_provider import EVENTS, Connection, ScriptedProvider
from tests.gateway.test_failover import ROLE, WORD

CLIENTS = 50
BODY = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)

Begun = Callable[[Proxy, "SilentProvider", list[Streams]], Awaitable[bool]]


class SilentProvider:
    """Sends the beginning of an answer, and nothing more.

    Args:
        beginning: what it sends.

    Attributes:
        asked: requests that came.
        open: those whose connection is.
    """

    def __init__(self, *beginning: bytes) -> None:
        self._beginning = beginning
        self.asked = self.open = 0

    async def script(self, connection: Connection) -> None:
        self.asked += 1
        self.open += 1
        try:
            if self._beginning:
                await connection.send(EVENTS)
            for piece in self._beginning:
                await connection.send_chunk(piece)
            await connection.closed()
        finally:
            self.open -= 1


async def before_the_head(_: Proxy, provider: SilentProvider, __: list[Streams]) -> bool:
    return provider.open == CLIENTS


async def with_the_preamble_held(proxy: Proxy, provider: SilentProvider, _: list[Streams]) -> bool:
    pools = [origin.pool for origin in proxy._upstream._origins.values()]
    held = [each for pool in pools for each in pool._busy if each.answer.status == 200]
    return provider.open == len(held) == CLIENTS


async def within_the_stream(_: Proxy, __: SilentProvider, clients: list[Streams]) -> bool:
    for reader, _writer in clients:
        await reader.readuntil(WORD)
    return True


async def waiting_for_a_place(proxy: Proxy, provider: SilentProvider, _: list[Streams]) -> bool:
    return under_way(proxy)["requests that wait for a place"] == CLIENTS - 1 and provider.open == 1


async def waiting_for_a_connection(proxy: Proxy, provider: SilentProvider, _: list[Streams]) -> bool:
    return under_way(proxy)["requests that wait for a connection"] == CLIENTS - 1 and provider.open == 1


async def with_two_attempts_open(_: Proxy, provider: SilentProvider, __: list[Streams]) -> bool:
    return provider.open == 2 * CLIENTS


PLACE = {"concurrency": {"requests": 1, "waiting": CLIENTS}}


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize(
    ("begun", "beginning", "provider_options", "route"),
    [
        (before_the_head, (), {}, {}),
        (with_the_preamble_held, (ROLE,), {}, {}),
        (with_the_preamble_held, (ROLE, WORD), {}, {"delivery": "whole"}),
        (within_the_stream, (ROLE, WORD), {}, {}),
        (waiting_for_a_place, (), PLACE, {}),
        (waiting_for_a_connection, (), {"limits": {"connections": 1}}, {}),
        # The reserve for attempts beyond the first ones is ten a second.
        (with_two_attempts_open, (), {}, {"hedge_after": 0.01}),
    ],
)
async def test_a_client_that_leaves(
    begun: Begun,
    beginning: tuple[bytes, ...],
    provider_options: dict[str, object],
    route: dict[str, object],
    leave: str,
    make_proxy: MakeProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within a second every connection to a provider is closed, and no place, attempt or task is left."""
    monkeypatch.setattr("proxy.upstream.budget.RESERVE_PER_S", 1000.0)
    silent = SilentProvider(*beginning)
    async with AsyncExitStack() as stack:
        providers = {
            name: (await stack.enter_async_context(ScriptedProvider(silent.script))).section | provider_options
            for name in "ab"
        }
        endpoints = [{"provider": name, "model_id": "x"} for name in providers]
        proxy = await make_proxy(providers=providers, models={"m": {"endpoints": endpoints, **route}})
        tasks = len(asyncio.all_tasks())
        clients = [await connect(proxy) for _ in range(CLIENTS)]
        for _, writer in clients:
            writer.write(REQUEST)
        async with asyncio.timeout(20):
            while not await begun(proxy, silent, clients):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.005)
        asked = silent.asked

        for _, writer in clients:
            if leave == "reset":
                reset(writer)
            else:
                writer.close()

        async with asyncio.timeout(1):
            while silent.open or any(under_way(proxy).values()) or len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.005)
        # Nobody who was waiting was asked for once its client had left.
        assert silent.asked == asked
