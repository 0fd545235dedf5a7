"""Endpoints are tried out before a route leads there."""

import asyncio
from typing import Any

import aiohttp
import pytest

from proxy.app import Proxy
from proxy.simulator import Faults, StrawProvider
from proxy.upstream.breaker import BreakerState
from tests.conftest import MakeProxy, MakeStraw, provider_section, url

OLD = {"provider": "old", "model_id": "straw-large"}
NEW = {"provider": "new", "model_id": "straw-small"}


@pytest.fixture
async def straws(make_straw: MakeStraw) -> tuple[StrawProvider, StrawProvider]:
    return await make_straw("old"), await make_straw("new")


@pytest.fixture
async def proxy(make_proxy: MakeProxy, straws: tuple[StrawProvider, StrawProvider]) -> Proxy:
    return await make_proxy(
        providers={straw.name: provider_section(straw) for straw in straws}, models={"m": {"endpoints": [OLD]}}
    )


async def post(http: aiohttp.ClientSession, proxy: Proxy, path: str, body: object, status: int = 200) -> Any:
    async with http.post(url(proxy, f"/admin/{path}"), json=body) as response:
        answer = await response.json()
        assert response.status == status, answer
        return answer


async def test_each_endpoint_is_asked_and_told(
    proxy: Proxy, straws: tuple[StrawProvider, StrawProvider], http: aiohttp.ClientSession
) -> None:
    straws[1].faults = Faults(error_rate=1, error_status=503)

    answer = await post(http, proxy, "preflight", {"endpoints": [OLD, NEW], "protocol": "anthropic", "streaming": True})

    assert answer["ok"] is False
    well, sick = answer["endpoints"]
    assert well.pop("latency_ms") > 0
    assert well == {
        **OLD,
        "protocol": "anthropic",
        "streaming": True,
        "ok": True,
        "status": 200,
        "error": None,
        "advice": None,
    }
    assert (sick["ok"], sick["status"], sick["error"]) == (False, 503, "The straw is on fire")
    assert "another endpoint" in sick["advice"]
    assert [straw.counters.received for straw in straws] == [2, 1]


async def test_nothing_is_learnt_from_it_but_what_it_says(
    proxy: Proxy, straws: tuple[StrawProvider, StrawProvider], http: aiohttp.ClientSession
) -> None:
    """No breaker opens by it, and no metric counts it."""
    straws[1].faults = Faults(error_rate=1)
    for _ in range(10):
        await post(http, proxy, "preflight", {"endpoints": [NEW]})

    assert all(endpoint.state is BreakerState.CLOSED for endpoint in proxy._health.endpoints())
    async with http.get(url(proxy, "/metrics")) as response:
        assert 'provider="new",result=' not in await response.text()


async def test_a_swap_tells_of_its_preflight(
    proxy: Proxy, straws: tuple[StrawProvider, StrawProvider], http: aiohttp.ClientSession
) -> None:
    straws[1].faults = Faults(error_rate=1)

    answer = await post(http, proxy, "routes", {"model": "m", "endpoints": [NEW, OLD], "preflight": True})

    assert answer["status"] == "ok"
    assert [trial["ok"] for trial in answer["preflight"]] == [False, True]


async def test_a_swap_that_requires_it_is_refused(
    proxy: Proxy, straws: tuple[StrawProvider, StrawProvider], http: aiohttp.ClientSession
) -> None:
    body = {"model": "m", "endpoints": [NEW, OLD], "require_preflight": True}
    straws[1].faults = Faults(error_rate=1, error_status=404)
    revision = proxy.table.revision

    refused = await post(http, proxy, "routes", body, 422)

    error = refused["error"]["message"]
    assert "nothing has changed: 1 of 2 endpoints can't serve. `new:straw-small`: The straw is on fire" in error
    assert [trial["status"] for trial in refused["preflight"]] == [404, 200]
    assert proxy.table.revision == revision

    straws[1].faults = Faults()
    accepted = await post(http, proxy, "routes", body)
    assert [trial["ok"] for trial in accepted["preflight"]] == [True, True]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"endpoints": []}, "endpoints"),
        ({"endpoints": [{"provider": "gone", "model_id": "x"}]}, "There is no provider `gone`"),
        ({"endpoints": [{"provider": "new", "model_id": ""}]}, "has no model_id"),
        ({"endpoints": [{"provider": "new", "model_id": "x", "base_url": "http://h"}]}, "Unknown field `base_url`"),
        ({"endpoints": [NEW], "api_key": "k"}, "Unknown field `api_key`"),
        ({"endpoints": [NEW], "protocol": "grpc"}, "protocol: expected openai, anthropic, gemini"),
        ({"endpoints": [{**NEW, "model_id": str(n)} for n in range(65)]}, "endpoints"),
    ],
)
async def test_what_cannot_be_tried(proxy: Proxy, http: aiohttp.ClientSession, body: object, said: str) -> None:
    """Only configured providers are asked, with nothing but a model id of the caller's."""
    refused = await post(http, proxy, "preflight", body, 400)

    assert said in refused["error"]["message"]


async def test_a_caller_that_leaves_ends_it(
    proxy: Proxy, straws: tuple[StrawProvider, StrawProvider], http: aiohttp.ClientSession
) -> None:
    straws[1].faults = Faults(first_byte_stall_s=60)
    asking = asyncio.create_task(post(http, proxy, "preflight", {"endpoints": [NEW]}))
    seen = await straws[1].received(1)

    asking.cancel()

    async with asyncio.timeout(10):
        await seen.ended.wait()
