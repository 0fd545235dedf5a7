"""How many connections a provider gets, and when: before it is asked, and no more than it may have."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from proxy.upstream.breaker import FAILURES_IN_A_ROW
from tests.conftest import MakeProxy, url
from tests.gateway.scripted_provider import Connection, ScriptedProvider

ASK = {"model": "up:m", "messages": []}


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[str, "asyncio.Queue[int]"]]:
    """A provider that is only connected to; gives its origin and a queue with an entry for each connection."""
    connected: asyncio.Queue[int] = asyncio.Queue()
    writers: list[asyncio.StreamWriter] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        connected.put_nowait(1)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connected
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def test_a_swap_warms_the_provider_up(make_proxy: MakeProxy, http: aiohttp.ClientSession) -> None:
    """A provider that a route is switched to is connected to before any request asks it."""
    async with listener() as (origin, connected):
        proxy = await make_proxy(providers={"cold": {"base_url": origin}})
        route = {"model": "fast", "endpoints": [{"provider": "cold", "model_id": "m"}]}
        async with http.post(url(proxy, "/admin/routes"), json=route) as response:
            assert response.status == 200
        async with asyncio.timeout(5):
            await connected.get()


async def test_a_swap_to_a_provider_that_is_away_is_no_error(
    make_proxy: MakeProxy, http: aiohttp.ClientSession
) -> None:
    """A provider that can't be connected to doesn't keep a route from being set."""
    proxy = await make_proxy(providers={"away": {"base_url": "http://127.0.0.1:9"}})
    route = {"model": "fast", "endpoints": [{"provider": "away", "model_id": "m"}]}
    async with http.post(url(proxy, "/admin/routes"), json=route) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "bounds", [{"limits": {"connections": 1, "waiting": 0}}, {"concurrency": {"requests": 1, "waiting": 0}}]
)
async def test_no_more_at_once_than_the_provider_may_have(
    bounds: dict[str, object], make_proxy: MakeProxy, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that finds no place, and nobody may wait, is told to come again; the provider isn't sick for that."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        asked.set()
        await go_on.wait()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with ScriptedProvider(script) as provider:
        proxy = await make_proxy(providers={"up": {**provider.section, **bounds}})
        first = asyncio.create_task(http.post(url(proxy, "/v1/x"), json=ASK).__aenter__())
        await asked.wait()
        for _ in range(FAILURES_IN_A_ROW):
            async with http.post(url(proxy, "/v1/x"), json=ASK) as refused:
                error = (await refused.json())["error"]
            assert (refused.status, refused.headers["Retry-After"], error["code"]) == (429, "1", "rate_limit_exceeded")
            assert "all 1 are in use" in error["message"]
        go_on.set()
        served = await first
        served.release()

    assert served.status == 200
    assert "is left alone" not in caplog.text
