"""A straw provider tells what it saw, and is controlled while it runs."""

import asyncio
import json

import aiohttp
import pytest
from yarl import URL

from proxy.simulator import Counters, Faults, StrawProvider
from tests.conftest import MakeStraw
from tests.simulator.wire import LIMIT_S

BODY = b'{"model": "m",  "messages": []}'


async def post(straw: StrawProvider, http: aiohttp.ClientSession, path: str, body: bytes = BODY) -> int:
    headers = {"Authorization": f"Bearer {straw.api_key}", "X-Odd": "Größe"}
    url = URL(straw.base_url + path, encoded=True)
    async with http.post(url, data=body, headers=headers) as response:
        await response.read()
    async with asyncio.timeout(LIMIT_S):
        await straw.requests[-1].ended.wait()
    return response.status


async def test_requests_are_kept_as_they_came(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """Method, path with its query, headers as spelled and in order, and the body's bytes."""
    await post(straw, http, "/chat/completions?a=%41&b")

    (seen,) = straw.requests
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/chat/completions?a=%41&b", BODY)
    assert [name for name, _ in seen.headers] == ["Host", "Authorization", "X-Odd", "Content-Length"]
    assert dict(seen.headers)["X-Odd"] == "Größe"
    assert seen.ended.is_set()
    assert seen.completed


async def test_only_the_begin_of_a_large_body_is_kept(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """A megabyte is answered and measured; 64 KiB of it stay in memory."""
    body = json.dumps({"model": "m", "input": "x" * 1_000_000}).encode()
    assert await post(straw, http, "/embeddings", body) == 200

    assert straw.requests[-1].body == body[: 64 * 1024]
    assert straw.requests[-1].body_bytes == len(body)


async def test_faults_are_switched_over_http(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """The next request after `PUT /__straw/faults` meets the new faults."""
    control = f"{straw.origin}/__straw/faults"
    assert await post(straw, http, "/chat/completions") == 200
    async with http.put(control, data=b'{"error_rate": 1, "error_status": 503}') as response:
        assert (await response.json())["faults"]["error_status"] == 503
    assert await post(straw, http, "/chat/completions") == 503
    async with http.put(control, data=b"{}") as response:
        assert response.status == 200
    assert await post(straw, http, "/chat/completions") == 200


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (b'{"rate_limit": true}', "rate_limit"),
        (b'{"error_rate": 2}', "$.error_rate"),
        (b'{"latency_ms": "slow"}', "$.latency_ms"),
        (b"nothing", "JSON"),
        (b'"\xff', "JSON"),
    ],
)
async def test_what_is_no_fault_is_refused(
    bad: bytes, expected: str, straw: StrawProvider, http: aiohttp.ClientSession
) -> None:
    """An unknown field or a bad value is a 400 that names it and what there is; the faults stay as they were."""
    straw.faults = Faults(rate_limited=True)
    async with http.put(f"{straw.origin}/__straw/faults", data=bad) as response:
        message = (await response.json())["error"]["message"]

    assert response.status == 400
    assert expected in message
    assert "reset_before_head" in message
    assert straw.faults == Faults(rate_limited=True)


async def test_it_tells_its_state(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """The state has faults, counters and requests, and no credential."""
    straw.faults = Faults(rate_limited=True, retry_after_s=3)
    await post(straw, http, f"/embeddings?key={straw.api_key}")
    async with http.get(f"{straw.origin}/__straw") as response:
        text = await response.text()

    state = json.loads(text)
    assert state["faults"]["retry_after_s"] == 3
    assert state["counters"] == {"received": 1, "completed": 1, "aborted": 0}
    assert state["requests"] == [
        {"method": "POST", "path": "/v1/embeddings", "body_bytes": len(BODY), "ended": True, "completed": True}
    ]
    assert straw.api_key not in text


async def test_reset_starts_over(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """`POST /__straw/reset` ends all faults and forgets all requests."""
    straw.faults = Faults(error_rate=1)
    await post(straw, http, "/embeddings")
    async with http.post(f"{straw.origin}/__straw/reset") as response:
        assert response.status == 200

    assert straw.faults == Faults()
    assert not straw.requests
    assert straw.counters == Counters()


async def test_it_comes_back_where_it_was(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """A provider that was stopped refuses connections, and started again is at the same address."""
    origin = straw.origin
    await straw.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await post(straw, http, "/embeddings")
    await straw.start()

    assert straw.origin == origin
    assert await post(straw, http, "/chat/completions") == 200


async def test_an_address_that_is_taken(straw: StrawProvider, make_straw: MakeStraw) -> None:
    """Starting where somebody listens already raises the system's own error."""
    port = int(straw.origin.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        await make_straw("other", port=port)
