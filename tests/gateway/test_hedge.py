"""Two attempts at a time: whichever isn't taken is given back, whatever happens meanwhile."""

import asyncio
import json
import logging
from collections.abc import Coroutine
from typing import Any, cast

import aiohttp
import pytest

from proxy.errors import Failure
from proxy.gateway.exchange import Exchange
from proxy.gateway.hedge import hedged
from proxy.routing import RoutingTarget
from tests.conftest import MakeProxy, url
from tests.gateway.scripted_provider import EVENTS, Connection, ScriptedProvider
from tests.gateway.test_failover import ASK, DONE, WELL, WORD


class Given:
    """Stands for a reply."""

    failure: Failure | None = None

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def test_a_client_that_leaves_as_the_loser_ends_leaves_nothing_open() -> None:
    """The winner's reply, which nobody gets to see, is closed."""
    reply, ending = Given(), asyncio.Event()

    async def slow() -> Exchange:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            # To let go of a connection that is being opened takes a moment.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        raise AssertionError

    async def second() -> Exchange:
        return cast("Exchange", reply)

    async def request() -> None:
        taken = await hedged(slow(), 0, second)
        try:
            await asyncio.Event().wait()
        finally:
            taken.close()

    client = asyncio.create_task(request())
    await ending.wait()
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)

    assert reply.is_closed


async def test_both_at_once() -> None:
    """Of two replies that come in the same moment one is taken, the other closed."""
    replies, go = [Given(), Given()], asyncio.Event()

    async def attempt(number: int) -> Exchange:
        await go.wait()
        return cast("Exchange", replies[number])

    def second() -> Coroutine[None, None, Exchange]:
        asyncio.get_running_loop().call_soon(go.set)
        return attempt(1)

    taken = await hedged(attempt(0), 0, second)
    await asyncio.sleep(0)

    assert sorted(each.is_closed for each in replies) == [False, True]
    assert not cast("Given", taken).is_closed


async def test_each_attempt_has_its_own_failure(
    make_proxy: MakeProxy, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """The first, which fails while the second is under way, is the one that failed."""
    second_asked = asyncio.Event()
    first_failed = asyncio.Event()

    async def first(connection: Connection) -> None:
        await second_asked.wait()
        connection.reset()
        first_failed.set()

    async def second(connection: Connection) -> None:
        second_asked.set()
        await first_failed.wait()
        while proxy._health.of(RoutingTarget("a", "x")).in_flight:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        await WELL(connection)

    async with ScriptedProvider(first) as a, ScriptedProvider(second) as b:
        proxy = await make_proxy(
            server={"access_log": "json"},
            providers={"a": a.section, "b": b.section},
            models={"m": {"hedge_after": 0.02, "endpoints": [{"provider": each, "model_id": "x"} for each in "ab"]}},
        )
        with caplog.at_level(logging.INFO, "pointsman.access"):
            async with http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
                assert response.status == 200
                await response.read()

    (line,) = [record.getMessage() for record in caplog.records if record.name == "pointsman.access"]
    attempts = json.loads(line)["attempts"]
    assert [(each["provider"], each["failure"]) for each in attempts] == [("a", "broken"), ("b", None)]


@pytest.mark.parametrize("route", [{}, {"delivery": "whole"}])
async def test_what_comes_as_the_winner_is_chosen_is_passed_on(
    route: dict[str, object], make_proxy: MakeProxy, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream whose first content is here goes on while its reply is on the way to the request: nothing is lost."""
    chosen = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(WORD)
        if not route:
            await chosen.wait()
        await connection.send_chunk(WORD.replace(b"well", b"more"))
        await connection.send_chunk(DONE)
        await connection.send_chunk(b"")

    async def slowly_hedged(*arguments: Any) -> Exchange:
        reply = await hedged(*arguments)
        chosen.set()
        while not reply.answer.message.is_complete:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        return reply

    monkeypatch.setattr("proxy.gateway.attempts.hedged", slowly_hedged)
    async with ScriptedProvider(script) as a, ScriptedProvider(script) as b:
        proxy = await make_proxy(
            providers={"a": a.section, "b": b.section},
            models={
                "m": {"hedge_after": 5, "endpoints": [{"provider": each, "model_id": "x"} for each in "ab"], **route}
            },
        )
        async with http.post(url(proxy, "/v1/chat/completions"), json=ASK | {"stream": True}) as response:
            assert await response.read() == WORD + WORD.replace(b"well", b"more") + DONE
