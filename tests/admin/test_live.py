"""What goes on, by the API: how the proxy is, and what became of the latest requests and why."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from proxy.app import Proxy
from proxy.routing import Action, Cause, Draft, Drain, DynamicRoute, RouteEndpoint
from proxy.simulator.faults import Faults
from proxy.telemetry import recent
from tests.conftest import MakeProxy, MakeStraw, provider_section, url

Get = Callable[..., Awaitable[Any]]

GONE = {"base_url": "http://127.0.0.1:9/v1"}


@pytest.fixture
def get(http: aiohttp.ClientSession) -> Get:
    """Ask a proxy's admin plane."""

    async def get(proxy: Proxy, path: str, expected: int = 200, /, **query: str) -> Any:
        async with http.get(url(proxy, f"/admin/{path}"), params=query) as answer:
            assert answer.status == expected, await answer.text()
            return await answer.json()

    return get


async def ask(http: aiohttp.ClientSession, proxy: Proxy, model: str, path: str = "/v1/chat/completions") -> int:
    """Ask for a chat completion and read all of it."""
    body = {"model": model, "messages": [{"role": "user", "content": "Where am I?"}]}
    async with http.post(url(proxy, path), json=body) as answer:
        await answer.read()
        return answer.status


async def two_providers(make_proxy: MakeProxy, make_straw: MakeStraw, **options: object) -> Proxy:
    """A proxy with the route `fast` from a provider that is gone to one that isn't."""
    return await make_proxy(
        providers={"gone": GONE, "straw": provider_section(await make_straw())},
        models={
            "fast": {
                "endpoints": [{"provider": "gone", "model_id": "a"}, {"provider": "straw", "model_id": "b"}],
                **options,
            }
        },
    )


async def test_a_request_says_what_became_of_it(proxy: Proxy, http: aiohttp.ClientSession, get: Get) -> None:
    """All that its record tells, without its body."""
    assert await ask(http, proxy, "fast") == 200

    (shown,) = (await get(proxy, "requests"))["requests"]

    (attempt,) = shown["attempts"]
    assert shown["model"] == "fast"
    assert (shown["source"], shown["strategy"], shown["revision"]) == ("config", "priority", 0)
    assert (shown["status"], shown["ending"], shown["failed"], shown["cause"]) == (200, "complete", False, None)
    assert shown["input_tokens"] > 0
    assert shown["bytes"] > 0
    assert 0 < attempt["first_byte_ms"] <= shown["first_byte_ms"] <= shown["duration_ms"]
    assert (attempt["provider"], attempt["model_id"], attempt["status"]) == ("straw", "straw-small", 200)
    assert attempt["why"] == "the only one"
    assert shown["why"].startswith("By the config route, priority, at revision 0.")
    assert "Where am I" not in str(shown)


async def test_a_failover_says_from_whom_and_why(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, get: Get
) -> None:
    """Each attempt has its reason; once the first endpoint is out of service, it is said to be passed over."""
    proxy = await two_providers(make_proxy, make_straw)
    for _ in range(6):
        assert await ask(http, proxy, "fast") == 200

    shown = (await get(proxy, "requests"))["requests"]

    last, first = shown[0], shown[-1]
    assert [(each["provider"], each["failure"]) for each in first["attempts"]] == [("gone", "connect"), ("straw", None)]
    assert first["attempts"][1]["why"].startswith("asked since gone:a could not be reached")
    assert "Connection refused" in first["attempts"][1]["why"]
    assert first["why"].endswith("The client got the answer of straw:b.")
    (attempt,) = last["attempts"]
    assert attempt["why"] == "first that could be asked, since gone:a could not (out of service, or not this way)"


async def test_panic_and_drains_are_told(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, get: Get
) -> None:
    """A drained provider is passed over by somebody's word; where all are out of service, the least bad is tried."""
    proxy = await two_providers(make_proxy, make_straw)
    proxy.table.add_route(DynamicRoute("dead", [RouteEndpoint("gone", "a")]))
    proxy.table.apply(Draft(drains={"gone": Drain("gone")}), Cause(Action.DRAIN))
    assert await ask(http, proxy, "fast") == 200
    (drained,) = (await get(proxy, "requests"))["requests"]
    proxy.table.apply(Draft(drains={"gone": None}), Cause(Action.RESTORE))
    for _ in range(6):
        assert await ask(http, proxy, "dead") == 502

    panic = (await get(proxy, "requests", limit="1"))["requests"][0]

    assert "Drained, and passed over: gone:a." in drained["why"]
    assert [each["provider"] for each in drained["attempts"]] == ["straw"]
    assert panic["is_panic"]
    assert panic["failed"]
    assert panic["cause"] == "connect"
    assert panic["attempts"][0]["why"] == "the least bad, since all are out of service"
    assert panic["why"].endswith("The client got an error of ours.")


async def test_a_hedge_is_told(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, get: Get
) -> None:
    """The second endpoint was asked beside a slow first."""
    slow = await make_straw("slow")
    slow.faults = Faults(latency_ms=5000)
    proxy = await make_proxy(
        providers={"slow": provider_section(slow), "straw": provider_section(await make_straw())},
        models={
            "fast": {
                "endpoints": [{"provider": "slow", "model_id": "a"}, {"provider": "straw", "model_id": "b"}],
                "hedge_after": 0.02,
            }
        },
    )
    assert await ask(http, proxy, "fast") == 200

    (shown,) = (await get(proxy, "requests"))["requests"]

    first, second = shown["attempts"]
    assert first["why"] == "the route's choice"
    assert second["why"].startswith("asked as well (hedged), since slow:a had not answered after ")
    assert second["started_ms"] >= 20


async def test_what_has_no_route_is_told_as_well(proxy: Proxy, http: aiohttp.ClientSession, get: Get) -> None:
    """Names that lead nowhere, names that say where to go, and paths that are no text."""
    assert await ask(http, proxy, "<script>alert(1)</script>") == 404
    assert await ask(http, proxy, "straw:made-up") == 200
    reader, writer = await asyncio.open_connection(proxy.address.host, proxy.address.port)
    writer.write(b"POST /v1/\xff HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    await reader.read()
    writer.close()

    direct, unknown = (await get(proxy, "requests"))["requests"][-2:]

    assert unknown["model"] == "<script>alert(1)</script>"
    assert (unknown["source"], unknown["attempts"], unknown["failed"]) == (None, [], True)
    assert unknown["why"] == "It was refused before it was routed."
    assert (direct["source"], direct["why"].partition(".")[0]) == ("direct", "The name itself says where to go")


async def test_requests_are_filtered(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, get: Get
) -> None:
    """By model, by any provider that was asked, by status or class, and by failure; what isn't a filter is refused."""
    proxy = await two_providers(make_proxy, make_straw)
    assert [await ask(http, proxy, model) for model in ("fast", "none", "straw:x")] == [200, 404, 200]

    async def models(**query: str) -> list[str]:
        return [each["model"] for each in (await get(proxy, "requests", **query))["requests"]]

    assert await models() == ["straw:x", "none", "fast"]
    assert await models(limit="1") == ["straw:x"]
    assert await models(model="fast") == ["fast"]
    assert await models(provider="gone") == ["fast"]
    assert await models(provider="straw") == ["straw:x", "fast"]
    assert await models(status="404") == await models(status="4xx") == await models(failed="true") == ["none"]
    assert await models(failed="false", status="200") == ["straw:x", "fast"]
    for wrong in ({"limit": "0"}, {"limit": "1001"}, {"status": "often"}, {"failed": "x"}, {"modle": "fast"}):
        assert (await get(proxy, "requests", 400, **wrong))["error"]["message"]


async def test_only_the_latest_are_kept_and_nothing_of_what_they_said(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bounded number of records, without the pieces of the answers in which tokens were found."""
    monkeypatch.setattr(recent, "KEPT", 5)
    proxy = await two_providers(make_proxy, make_straw)
    for number in range(8):
        assert await ask(http, proxy, f"straw:{number}") == 200

    shown = (await get(proxy, "requests", limit="1000"))["requests"]
    proxy._telemetry._metrics.settle()

    assert [each["model"] for each in shown] == [f"straw:{number}" for number in (7, 6, 5, 4, 3)]
    assert all(outcome.usage is None for outcome in proxy._telemetry.recent.since(None))


async def test_the_status_says_in_words_what_is_not_as_usual(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, get: Get
) -> None:
    """Figures of the last minute, and counts of what somebody has done or what has failed."""
    proxy = await two_providers(make_proxy, make_straw)
    usual = await get(proxy, "status")
    proxy.table.add_route(DynamicRoute("fast", [RouteEndpoint("gone", "a")]))
    proxy.table.add_route(DynamicRoute("other", [RouteEndpoint("straw", "a")]))
    for _ in range(5):
        assert await ask(http, proxy, "fast") == 502
    assert await ask(http, proxy, "other") == 200
    proxy.table.apply(Draft(drains={"straw": Drain("straw")}), Cause(Action.DRAIN))

    status = await get(proxy, "status")

    assert usual["words"] == "No route is swapped, no provider drained, no endpoint out of service"
    assert (usual["revision"], usual["requests_per_s"], usual["error_share"]) == (0, 0, None)
    assert status["words"] == "2 routes swapped, 1 provider drained, 1 endpoint out of service"
    assert (status["revision"], status["store"], status["dynamic_routes"]) == (3, "memory", 2)
    assert (status["drained"], status["out_of_service"]) == (["straw"], ["gone:a"])
    assert status["error_share"] == pytest.approx(5 / 6, abs=0.001)
    assert status["requests_per_s"] * status["window_s"] == pytest.approx(6, rel=0.2)
    assert status["uptime_s"] >= 0


async def test_an_explanation_says_whom_requests_avoid_and_why(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, get: Get
) -> None:
    """A breaker that is open, for how long and since what; then a drain; and what happens where nobody is well."""
    proxy = await two_providers(make_proxy, make_straw)
    well = await get(proxy, "resolve", model="fast")
    for _ in range(5):
        assert await ask(http, proxy, "fast") == 200
    sick = await get(proxy, "resolve", model="fast")
    alone = await get(proxy, "resolve", model="gone:a")
    proxy.table.apply(Draft(drains={"straw": Drain("straw")}), Cause(Action.DRAIN))
    drained = await get(proxy, "resolve", model="fast")

    assert well["passed_over"] == []
    (passed_over,) = sick["passed_over"]
    assert (passed_over["provider"], passed_over["model_id"]) == ("gone", "a")
    assert passed_over["reason"].startswith("left alone for another ")
    assert passed_over["reason"].endswith(" s: 5 failures in a row (connect)")
    assert f"`gone:a` is {passed_over['reason'][:20]}" in sick["why"]
    assert alone["why"].endswith(
        "No endpoint is well, so the least bad of those that are not drained is tried all the same."
    )
    assert [each["reason"][:7] for each in drained["passed_over"]] == ["left al", "drained"]
    assert "Provider `straw` is drained: requests avoid it." in drained["why"]


async def test_a_stream_ends_with_its_session(make_proxy: MakeProxy) -> None:
    """Who logged out is told nothing more; the page's next try is refused."""
    proxy = await make_proxy(admin={"token": "s3cret-admin-token"}, providers={"gone": GONE})
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:

        async def send(path: str, token: str = "") -> None:
            async with browser.get(url(proxy, "/admin/login"), headers={"Accept": "text/html"}) as page:
                [csrf, *_] = re.findall(r'name="csrf" value="(\w+)"', await page.text())
            form = {"token": token, "csrf": csrf}
            async with browser.post(url(proxy, path), data=form, allow_redirects=False) as answer:
                assert answer.status == 303, await answer.text()

        await send("/admin/login", "s3cret-admin-token")
        async with browser.get(url(proxy, "/admin/events?kinds=change")) as stream:
            assert b"hello" in await stream.content.readany()
            await send("/admin/logout")
            proxy.table.add_route(DynamicRoute("fast", [RouteEndpoint("gone", "a")]))
            with pytest.raises(aiohttp.ClientPayloadError):
                async with asyncio.timeout(5):
                    await stream.content.read()
        async with browser.get(url(proxy, "/admin/events")) as refused:
            assert refused.status == 401
