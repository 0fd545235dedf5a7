"""Draining a provider through the front door: requests avoid it at once, and come back once it is restored."""

import asyncio
from collections import Counter
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

from proxy.app import Proxy
from proxy.routing import Change, DynamicRoute, RouteEndpoint
from proxy.simulator.faults import Faults
from tests.conftest import MakeProxy, MakeStraw, provider_section, url

Json = dict[str, Any]
NAMES = ("alpha", "beta", "gamma")


def endpoints(*providers: str) -> list[Json]:
    return [{"provider": name, "model_id": f"{name}-m"} for name in providers]


@pytest.fixture
async def proxy(make_proxy: MakeProxy, make_straw: MakeStraw) -> Proxy:
    """A proxy with three providers and config routes of several strategies over them."""
    straw = [await make_straw(name) for name in NAMES]
    strategies = ("priority", "load_balance", "weighted", "least_latency", "sticky")
    models: Json = {name: {"strategy": name, "endpoints": endpoints(*NAMES)} for name in strategies}
    models["only-alpha"] = {"endpoints": endpoints("alpha")}
    models["beta"] = {"endpoints": endpoints("beta")}
    return await make_proxy(providers={each.name: provider_section(each) for each in straw}, models=models)


async def call(http: aiohttp.ClientSession, proxy: Proxy, path: str, body: Json | None = None) -> tuple[int, Json]:
    async with http.post(url(proxy, f"/admin{path}"), json=body or {}) as response:
        return response.status, await response.json()


async def get(http: aiohttp.ClientSession, proxy: Proxy, path: str) -> Json:
    async with http.get(url(proxy, f"/admin{path}")) as response:
        assert response.status == 200
        answer: Json = await response.json()
        return answer


async def served_by(http: aiohttp.ClientSession, proxy: Proxy, model: str, times: int = 1) -> Counter[str]:
    seen: Counter[str] = Counter()
    for number in range(times):
        body = {"model": model, "user": f"u{number}", "messages": [{"role": "user", "content": "Who?"}]}
        async with http.post(url(proxy, "/v1/chat/completions"), json=body) as response:
            assert response.status == 200, await response.text()
            await response.read()
            seen[response.headers["x-pointsman-provider"]] += 1
    return seen


async def test_a_drained_provider_gets_no_request_until_it_is_restored(
    http: aiohttp.ClientSession, proxy: Proxy
) -> None:
    """Whatever the strategy, its share goes to the others evenly, and comes back."""
    assert set(await served_by(http, proxy, "load_balance", 3)) == set(NAMES)
    status, answer = await call(http, proxy, "/providers/alpha/drain", {"reason": "it is on fire"})

    assert (status, answer["revision"], answer["drained"]) == (200, 1, True)
    assert (await served_by(http, proxy, "load_balance", 8)) == {"beta": 4, "gamma": 4}
    assert (await served_by(http, proxy, "weighted", 8)) == {"beta": 4, "gamma": 4}
    assert (await served_by(http, proxy, "priority", 2)) == {"beta": 2}
    assert "alpha" not in await served_by(http, proxy, "least_latency", 8)
    assert set(await served_by(http, proxy, "sticky", 30)) == {"beta", "gamma"}
    status, answer = await call(http, proxy, "/providers/alpha/restore", {"reason": "put out"})
    assert (status, answer["revision"], answer["drained"], answer["affected_total"]) == (200, 2, False, 6)
    assert (await served_by(http, proxy, "priority")) == {"alpha": 1}


async def test_the_answer_tells_where_each_model_goes(http: aiohttp.ClientSession, proxy: Proxy) -> None:
    """Each affected model with the places that its requests go to now; those without another way come first."""
    proxy.table.add_route(DynamicRoute("beta", [RouteEndpoint("alpha", "x"), RouteEndpoint("gamma", "y")]))
    for query in ("?dry_run=true", ""):
        status, answer = await call(http, proxy, f"/providers/alpha/drain{query}")
        assert status == 200
        assert answer["without_other_way"] == ["only-alpha"]
        assert answer["affected_total"] == 7
        stuck, beta, *_ = answer["affected"]
        assert stuck == {"model": "only-alpha", "goes_to": ["alpha:alpha-m"], "other_way": False}
        assert beta == {"model": "beta", "goes_to": ["gamma:y"], "other_way": True}
        assert [each["code"] for each in answer["warnings"]] == ["no_other_way"]
    status, answer = await call(http, proxy, "/providers/beta/drain?dry_run=true")
    (only,) = [each for each in answer["affected"] if each["model"] == "priority"]
    assert only["goes_to"] == ["gamma:gamma-m"]


async def test_models_without_another_way_keep_it(http: aiohttp.ClientSession, proxy: Proxy) -> None:
    """Also one asked for by a direct name, and where all of a route's providers are drained."""
    await call(http, proxy, "/providers/alpha/drain")
    assert await served_by(http, proxy, "only-alpha") == {"alpha": 1}
    assert await served_by(http, proxy, "alpha:anything") == {"alpha": 1}
    for name in ("beta", "gamma"):
        await call(http, proxy, f"/providers/{name}/drain")
    assert set(await served_by(http, proxy, "load_balance", 6)) == set(NAMES)
    explained = await get(http, proxy, "/resolve?model=only-alpha")
    assert "drained: there is no other way, so requests keep it." in explained["why"]


async def test_with_force_they_are_refused_in_the_clients_protocol(http: aiohttp.ClientSession, proxy: Proxy) -> None:
    """503 with Retry-After, which both official SDKs raise; nothing reaches the provider."""
    status, answer = await call(http, proxy, "/providers/alpha/drain", {"force": True})
    assert (status, answer["affected"][0]) == (200, {"model": "only-alpha", "goes_to": [], "other_way": False})

    async with openai.AsyncOpenAI(base_url=url(proxy, "/v1"), api_key="x", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError) as refused:
            await client.chat.completions.create(model="only-alpha", messages=[{"role": "user", "content": "Who?"}])
    assert refused.value.status_code == 503
    assert refused.value.code == "provider_drained"
    assert int(refused.value.response.headers["retry-after"]) > 0
    async with anthropic.AsyncAnthropic(base_url=url(proxy), api_key="x", max_retries=0) as client:
        with pytest.raises(anthropic.InternalServerError) as overloaded:
            await client.messages.create(
                model="alpha:claude", max_tokens=5, messages=[{"role": "user", "content": "Who?"}]
            )
    assert overloaded.value.status_code == 503
    assert "`alpha` has been taken out of service" in overloaded.value.message
    assert await served_by(http, proxy, "priority") == {"beta": 1}
    explained = await get(http, proxy, "/resolve?model=only-alpha")
    assert explained["why"].endswith("drained: requests are refused.")


async def test_requests_under_way_finish_and_are_counted(
    http: aiohttp.ClientSession, make_proxy: MakeProxy, make_straw: MakeStraw
) -> None:
    """A stream goes on while its provider is drained, or its route is swapped, and the answer counts it."""
    alpha, beta = await make_straw("alpha", token_delay_s=0.01), await make_straw("beta")
    proxy = await make_proxy(
        providers={each.name: provider_section(each) for each in (alpha, beta)},
        models={"fast": {"endpoints": endpoints("alpha", "beta")}},
    )
    body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "Who?"}]}
    async with http.post(url(proxy, "/v1/chat/completions"), json=body) as stream:
        first = await stream.content.readany()
        _, swapped = await call(http, proxy, "/routes", {"model": "fast", "endpoints": endpoints("beta")})
        await call(http, proxy, "/routes/fast/rollback")
        _, drained = await call(http, proxy, "/providers/alpha/drain")
        assert await served_by(http, proxy, "fast") == {"beta": 1}
        listed = await get(http, proxy, "/providers")
        text = (first + await stream.content.read()).decode()

    under_way = {"provider": "alpha", "model_id": "alpha-m", "in_flight": 1, "cut": 0}
    assert swapped["old_targets"] == drained["old_targets"] == [under_way]
    assert text.endswith("data: [DONE]\n\n")
    one, _ = listed["providers"]
    assert one["endpoints"] == [{"model_id": "alpha-m", "state": "closed", "in_flight": 1}]


async def test_providers_are_listed_with_their_drains(http: aiohttp.ClientSession, proxy: Proxy) -> None:
    """Who drained what, why, since when and until when; nothing secret."""
    body = {"reason": "5xx storm", "expires_in_s": 3600, "force": True}
    _, drained = await call(http, proxy, "/providers/alpha/drain", body)
    listed = await get(http, proxy, "/providers")

    assert [each["name"] for each in listed["providers"]] == list(NAMES)
    alpha, beta, _ = listed["providers"]
    assert alpha["protocols"] == ["openai", "anthropic", "gemini"]
    drain = alpha["drain"]
    assert (drain["actor"], drain["reason"], drain["forced"]) == ("local", "5xx storm", True)
    assert drain["expires_at"] == drained["expires_at"]
    assert beta["drain"] is None
    assert "key-of-alpha" not in str(listed)


async def test_drains_are_in_the_history_and_rolled_back(http: aiohttp.ClientSession, proxy: Proxy) -> None:
    """A drain is a change like any other: a rollback ends it, and brings it back."""
    await call(http, proxy, "/providers/alpha/drain", {"reason": "down"})
    await call(http, proxy, "/providers/beta/drain")
    status, answer = await call(http, proxy, "/rollback", {"to_revision": 0})

    assert (status, [each["provider"] for each in answer["drains"]]) == (200, ["beta", "alpha"])
    assert await served_by(http, proxy, "priority") == {"alpha": 1}
    await call(http, proxy, "/rollback", {"to_revision": 1})
    assert await served_by(http, proxy, "priority") == {"beta": 1}
    history = await get(http, proxy, "/history")
    assert [each["action"] for each in history["changes"]] == ["rollback", "rollback", "drain", "drain"]
    (drained,) = history["changes"][-1]["drains"]
    assert (drained["provider"], drained["before"], drained["after"]["reason"]) == ("alpha", None, "down")


async def test_a_drain_expires_also_across_a_reload(http: aiohttp.ClientSession, proxy: Proxy) -> None:
    """Once its time is over the provider is back, as a change of its own."""
    restored: asyncio.Future[Change] = asyncio.get_running_loop().create_future()

    def note(change: Change) -> None:
        if change.cause.action == "expire":
            restored.set_result(change)

    proxy.table.subscribe(note)
    await call(http, proxy, "/providers/alpha/drain", {"expires_in_s": 0.3})
    proxy.table.replace_inner(proxy.table.inner)
    assert await served_by(http, proxy, "priority") == {"beta": 1}
    async with asyncio.timeout(10):
        change = await restored

    assert [edit.provider for edit in change.drains] == ["alpha"]
    assert await served_by(http, proxy, "priority") == {"alpha": 1}


async def test_what_is_no_provider_or_not_drained_is_404(http: aiohttp.ClientSession, proxy: Proxy) -> None:
    """And an unknown field is refused."""
    status, answer = await call(http, proxy, "/providers/omega/drain")
    assert (status, "`omega`" in answer["error"]["message"]) == (404, True)
    assert (await call(http, proxy, "/providers/alpha/restore"))[0] == 404
    assert (await call(http, proxy, "/providers/alpha/drain", {"forced": True}))[0] == 400
    assert proxy.table.revision == 0


async def test_an_open_breaker_and_a_drain_speak_against_a_swap(
    http: aiohttp.ClientSession, make_proxy: MakeProxy, make_straw: MakeStraw
) -> None:
    """The warnings know what requests have found out."""
    sick, well = await make_straw("sick"), await make_straw("well")
    sick.faults = Faults(error_rate=1.0)
    proxy = await make_proxy(providers={each.name: provider_section(each) for each in (sick, well)})
    body = {"model": "sick:sick-m", "messages": [{"role": "user", "content": "Who?"}]}
    for _ in range(5):
        async with http.post(url(proxy, "/v1/chat/completions"), json=body) as response:
            assert response.status == 500
    swap = {"model": "m", "endpoints": endpoints("sick", "well"), "dry_run": True}

    _, answer = await call(http, proxy, "/routes", swap)
    assert {each["code"] for each in answer["warnings"]} == {"breaker_open", "no_fallback"}
    await call(http, proxy, "/providers/well/drain")
    _, answer = await call(http, proxy, "/routes", swap)
    assert {each["code"] for each in answer["warnings"]} == {"breaker_open", "provider_drained", "none_usable"}


async def test_a_way_back_is_judged_by_the_drains_that_it_leaves(http: aiohttp.ClientSession, proxy: Proxy) -> None:
    """One that ends a drain isn't warned of it, neither before nor as it is made; one into a drain is."""
    await call(http, proxy, "/providers/beta/drain")
    await call(http, proxy, "/routes", {"model": "beta", "endpoints": endpoints("alpha", "gamma")})

    for query in ("?dry_run=true", ""):
        status, answer = await call(http, proxy, f"/rollback{query}", {"to_revision": 0})
        assert (status, [each["code"] for each in answer["warnings"]]) == (200, ["no_fallback"])
    status, answer = await call(http, proxy, "/rollback?dry_run=true", {"to_revision": 1})
    assert (status, answer["drains"][0]["provider"]) == (200, "beta")
    assert answer["warnings"] == []
    await call(http, proxy, "/routes", {"model": "beta", "endpoints": endpoints("alpha", "gamma")})
    status, answer = await call(http, proxy, "/rollback?dry_run=true", {"to_revision": 1})
    assert (status, {each["code"] for each in answer["warnings"]}) == (200, {"provider_drained", "none_usable"})


async def test_answers_under_way_can_be_cut(
    http: aiohttp.ClientSession, make_proxy: MakeProxy, make_straw: MakeStraw
) -> None:
    """Those of the swapped route alone, with an error that the SDK raises; the provider isn't blamed for it."""
    alpha, beta = await make_straw("alpha", token_delay_s=0.05), await make_straw("beta")
    proxy = await make_proxy(
        providers={each.name: provider_section(each) for each in (alpha, beta)},
        models={name: {"endpoints": endpoints("alpha", "beta")} for name in ("fast", "other")},
    )
    swap = {"model": "fast", "endpoints": endpoints("beta")}
    async with openai.AsyncOpenAI(base_url=url(proxy, "/v1"), api_key="x", max_retries=0) as client:
        streams = [
            await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Who?"}], stream=True
            )
            for model in ("fast", "other")
        ]
        for stream in streams:
            await anext(stream)
        _, foreseen = await call(http, proxy, "/routes?cut_old=true&dry_run=true", swap)
        _, answer = await call(http, proxy, "/routes?cut_old=true", swap)
        with pytest.raises(openai.APIError, match="The operator ended this answer of provider `alpha`"):
            async for _ in streams[0]:
                pass
        finished = [chunk async for chunk in streams[1]]

    old = {"provider": "alpha", "model_id": "alpha-m", "in_flight": 1}
    assert foreseen["old_targets"] == [{**old, "cut": 0}]
    assert answer["old_targets"] == [{**old, "cut": 1}]
    assert finished[-1].choices[0].finish_reason == "stop"
    (reading,) = (await get(http, proxy, "/providers"))["providers"][0]["endpoints"]
    assert reading == {"model_id": "alpha-m", "state": "closed", "in_flight": 0}


async def test_a_drain_can_cut_every_answer_of_its_provider(
    http: aiohttp.ClientSession, make_proxy: MakeProxy, make_straw: MakeStraw
) -> None:
    """In Anthropic's protocol as well, and by a direct name."""
    alpha = await make_straw("alpha", token_delay_s=0.05)
    proxy = await make_proxy(providers={"alpha": provider_section(alpha)})
    async with anthropic.AsyncAnthropic(base_url=url(proxy), api_key="x", max_retries=0) as client:
        stream = await client.messages.create(
            model="alpha:m", max_tokens=50, stream=True, messages=[{"role": "user", "content": "Who?"}]
        )
        await anext(stream)
        _, answer = await call(http, proxy, "/providers/alpha/drain", {"cut_old": True})
        with pytest.raises(anthropic.APIStatusError, match="The operator ended this answer"):
            async for _ in stream:
                pass

    assert [each["cut"] for each in answer["old_targets"]] == [1]
