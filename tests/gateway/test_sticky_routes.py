"""Requests that belong together go to the same provider, whatever they tell it by."""

from collections import Counter
from collections.abc import Callable

import aiohttp
import pytest

from tests.conftest import MakeProxy, MakeStraw, provider_section, url
from tests.gateway.scripted_provider import ScriptedProvider
from tests.gateway.test_failover import ASK, WELL

Telling = Callable[[str], tuple[dict[str, object], dict[str, str]]]


@pytest.mark.parametrize(
    ("route", "telling"),
    [
        ({}, lambda key: ({"prompt_cache_key": key}, {})),
        ({}, lambda key: ({"user": key}, {})),
        ({}, lambda key: ({"metadata": {"user_id": key}}, {})),
        ({"sticky_header": "X-Session"}, lambda key: ({"user": "everybody"}, {"x-session": key})),
    ],
)
async def test_a_key_stays_with_its_provider(
    make_proxy: MakeProxy, http: aiohttp.ClientSession, route: dict[str, str], telling: Telling
) -> None:
    """Requests of one key are served by one provider, those of many by all; without a key they take turns."""
    async with ScriptedProvider(WELL) as a, ScriptedProvider(WELL) as b:
        endpoints = [{"provider": name, "model_id": "x"} for name in "ab"]
        models = {"m": {"strategy": "sticky", "endpoints": endpoints, **route}}
        proxy = await make_proxy(providers={"a": a.section, "b": b.section}, models=models)

        async def served(key: str) -> Counter[str]:
            body, headers = telling(key)
            counts: Counter[str] = Counter()
            for _ in range(4):
                async with http.post(url(proxy, "/v1/chat/completions"), json=ASK | body, headers=headers) as answer:
                    counts[answer.headers["x-pointsman-provider"]] += 1
            return counts

        by_key = [await served(str(key)) for key in range(12)]

        assert {len(counts) for counts in by_key} == {1}
        assert {name for counts in by_key for name in counts} == {"a", "b"}
        assert await served("") == {"a": 2, "b": 2}


async def test_a_websocket_sticks_by_its_header(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession
) -> None:
    """There is no body to go by, but a header may tell."""
    straw = {name: await make_straw(name) for name in "ab"}
    endpoints = [{"provider": name, "model_id": "x"} for name in straw]
    models = {"m": {"strategy": "sticky", "sticky_header": "X-Session", "endpoints": endpoints}}
    proxy = await make_proxy(providers={name: provider_section(each) for name, each in straw.items()}, models=models)
    address = url(proxy, "/v1/realtime?model=m").replace("http://", "ws://")

    for session in range(8):
        before = {name: each.counters.received for name, each in straw.items()}
        for _ in range(2):
            async with http.ws_connect(address, headers={"X-Session": str(session)}) as socket:
                await socket.receive()
        assert {each.counters.received - before[name] for name, each in straw.items()} == {0, 2}
