"""Reloading: everything new is in force at once, what didn't change lives on, and no request is lost."""

import asyncio
import copy
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
import pytest

from proxy.app import Proxy
from proxy.config import ConfigError, Settings, settings_from
from proxy.routing import DynamicRoute, RouteEndpoint
from tests.conftest import MakeStraw, provider_section, url
from tests.gateway.scripted_provider import Connection, ScriptedProvider
from tests.gateway.test_swaps import ask, ask_for_stream

RELOADS = 500
SWAPS = 1000


class File:
    """Stands for a config file that is edited while the proxy runs."""

    def __init__(self, **sections: Mapping[str, Any]) -> None:
        server = {"listen": "127.0.0.1:0", "shutdown_grace_s": 5, "shutdown_idle_s": 0}
        self.sections: dict[str, Any] = copy.deepcopy({"server": server, "models": {}, **sections})

    def load(self) -> Settings:
        """What it comes to now."""
        return settings_from(self.sections, "proxy.yaml")

    def proxy(self) -> Proxy:
        """A proxy that reads it."""
        return Proxy(self.load(), self.load)


def route(*places: str, **options: object) -> dict[str, object]:
    """A model of the config file."""
    endpoints = [dict(zip(("provider", "model_id"), place.split(":"), strict=True)) for place in places]
    return {"endpoints": endpoints, **options}


async def test_reloads_and_swaps_under_load_lose_no_request(make_straw: MakeStraw, http: aiohttp.ClientSession) -> None:
    """500 reloads that change, add and remove providers and routes, and 1,000 swaps meanwhile: every answer is whole."""
    straw = [await make_straw(name) for name in ("alpha", "beta")]
    sections = {provider.name: provider_section(provider) for provider in straw}
    file = File(providers=sections, models={"fast": route("alpha:alpha-model")})
    done = asyncio.Event()
    answered = 0

    async def keep_asking(one: Any) -> None:
        nonlocal answered
        while not done.is_set():
            await one(http, proxy)
            answered += 1

    async def keep_swapping() -> None:
        for number in range(SWAPS):
            name = "alpha" if number % 2 else "beta"
            proxy.table.add_route(DynamicRoute("swapped", [RouteEndpoint(name, f"{name}-model")]))
            await asyncio.sleep(0)

    async with file.proxy() as proxy, asyncio.TaskGroup() as asking:
        for one in (ask, ask_for_stream) * 4:
            asking.create_task(keep_asking(one))
        swapping = asking.create_task(keep_swapping())
        for number, edit in zip(range(RELOADS), _edits(file), strict=False):
            edit()
            reloaded = await proxy.reload()
            assert reloaded.revision == proxy.table.revision, number
        await swapping
        done.set()

    assert proxy.table.revision == RELOADS + SWAPS
    assert answered > RELOADS / 10


def _edits(file: File) -> Iterator[Any]:
    """One edit after the other, for ever."""
    providers, models = file.sections["providers"], file.sections["models"]
    number = 0
    while True:
        number += 1
        name = "beta" if number % 2 else "alpha"
        yield lambda name=name: models.update(fast=route(f"{name}:{name}-model"))
        yield lambda number=number: providers["alpha"].update(headers={"X-Edit": str(number)})
        yield lambda: providers.update(gamma={"derives": "beta"})
        yield lambda: providers.pop("gamma")


async def test_an_answer_says_what_changed(make_straw: MakeStraw, http: aiohttp.ClientSession) -> None:
    """`POST /admin/reload` tells names, revision, and what waits for a restart; new settings are in force at once."""
    straw = provider_section(await make_straw("alpha"))
    file = File(
        providers={"alpha": straw, "old": straw, "same": straw},
        models={"fast": route("alpha:m"), "gone": route("old:m")},
    )
    async with file.proxy() as proxy:
        file.sections["providers"] = {"alpha": {**straw, "headers": {"X-New": "1"}}, "same": straw, "new": straw}
        file.sections["models"] = {"fast": route("alpha:n"), "more": route("new:m")}
        file.sections["server"] |= {"listen": "127.0.0.1:1", "max_body_bytes": 10}
        file.sections["admin"] = {"token": "new-token"}
        async with http.post(url(proxy, "/admin/reload")) as response:
            assert response.status == 200
            assert await response.json() == {
                "status": "ok",
                "revision": 1,
                "providers": {"added": ["new"], "changed": ["alpha"], "removed": ["old"]},
                "models": {"added": ["more"], "changed": ["fast"], "removed": ["gone"]},
                "needs_restart": ["server.listen"],
            }
        async with http.post(url(proxy, "/admin/reload")) as response:
            assert response.status == 401
        async with http.post(url(proxy, "/v1/chat/completions"), json={"model": "fast", "messages": []}) as response:
            assert response.status == 413


async def test_a_bad_file_changes_nothing(
    make_straw: MakeStraw, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """Every fault is in the answer and in the log; routes, providers and revision are what they were."""
    file = File(
        providers={"alpha": provider_section(await make_straw("alpha"))}, models={"fast": route("alpha:alpha-model")}
    )
    async with file.proxy() as proxy:
        file.sections["models"]["bad"] = route("nobody:m")
        file.sections["server"]["client_idle_s"] = -1
        async with http.post(url(proxy, "/admin/reload")) as response:
            assert response.status == 400
            error = (await response.json())["error"]
        assert error["message"].endswith("nothing has changed. Faults: 2.")
        assert {fault["path"] for fault in error["faults"]} == {
            "server.client_idle_s",
            "models.bad.endpoints[0].provider",
        }
        assert sum("proxy.yaml: " in record.getMessage() for record in caplog.records) == 2
        assert proxy.table.revision == 0
        assert await ask(http, proxy) == "alpha"


async def test_a_dynamic_route_keeps_its_provider(make_straw: MakeStraw) -> None:
    """A file without a provider that a dynamic route leads to is refused, route by route; without the route it isn't."""
    straw = provider_section(await make_straw("alpha"))
    file = File(providers={"alpha": straw, "beta": straw})
    async with file.proxy() as proxy:
        for name in ("one", "two"):
            proxy.table.add_route(DynamicRoute(name, [RouteEndpoint("beta", "m")]))
        del file.sections["providers"]["beta"]
        with pytest.raises(ConfigError) as refused:
            await proxy.reload()
        assert [fault.path for fault in refused.value.faults] == ["providers.beta"] * 2
        assert ["`one`" in refused.value.faults[0].message, "`two`" in refused.value.faults[1].message] == [True, True]
        proxy.table.remove_route("one")
        proxy.table.remove_route("two")
        assert (await proxy.reload()).providers.removed == ("beta",)


async def test_an_unguarded_admin_plane_is_refused(make_straw: MakeStraw) -> None:
    """A token can't be taken away while the admin plane listens beyond this machine, whatever the new file's address."""
    file = File(admin={"token": "t", "listen": "0.0.0.0:0"})
    async with file.proxy() as proxy:
        for listen in ("0.0.0.0:0", "127.0.0.1:0"):
            file.sections["admin"] = {"listen": listen}
            with pytest.raises(ConfigError, match=r"admin\.token"):
                await proxy.reload()


async def test_what_did_not_change_lives_on(make_straw: MakeStraw, http: aiohttp.ClientSession) -> None:
    """Dynamic routes, the turn of an unchanged route, and connections of an unchanged provider; a changed one's end."""
    alpha, beta = [await make_straw(name) for name in ("alpha", "beta")]
    file = File(
        providers={"alpha": provider_section(alpha), "beta": provider_section(beta)},
        models={"fast": route("alpha:alpha-model", "beta:beta-model", strategy="load_balance")},
    )
    async with file.proxy() as proxy:
        proxy.table.add_route(DynamicRoute("mine", [RouteEndpoint("alpha", "m")]))
        assert [await ask(http, proxy) for _ in range(3)] == ["alpha", "beta", "alpha"]
        pools = {
            name: origin.pool for (name, protocol), origin in proxy._upstream._origins.items() if protocol == "openai"
        }
        assert pools["alpha"].resting >= 1
        assert pools["beta"].resting == 1
        file.sections["providers"]["alpha"]["timeouts"] = {"idle_s": 7}
        file.sections["models"]["other"] = route("beta:m")
        await proxy.reload()
        assert await ask(http, proxy) == "beta"
        assert [pools[name].open for name in ("alpha", "beta")] == [0, 1]
        assert [route.model for route in proxy.table.list_dynamic_routes()] == ["mine"]


async def test_a_stream_goes_on_over_a_provider_that_is_removed(
    make_straw: MakeStraw, http: aiohttp.ClientSession
) -> None:
    """A request under way ends on the connection that it began on, which is closed behind it."""
    alpha = await make_straw("alpha", token_delay_s=0.005)
    file = File(
        providers={"alpha": provider_section(alpha), "beta": provider_section(await make_straw("beta"))},
        models={"fast": route("alpha:alpha-model")},
    )
    body = {"model": "fast", "messages": [{"role": "user", "content": "Who?"}], "stream": True}
    async with file.proxy() as proxy:
        async with http.post(url(proxy, "/v1/chat/completions"), json=body) as response:
            await response.content.readany()
            (pool,) = [origin.pool for origin in proxy._upstream._origins.values() if origin.pool.open]
            del file.sections["providers"]["alpha"]
            file.sections["models"] = {"fast": route("beta:beta-model")}
            await proxy.reload()
            assert await ask(http, proxy) == "beta"
            assert (await response.text()).endswith("data: [DONE]\n\n")
        assert pool.is_vacant


async def test_a_request_under_way_may_fall_back_on_a_provider_that_is_removed(
    make_straw: MakeStraw, http: aiohttp.ClientSession
) -> None:
    """Where its first target fails after the reload, the second answers, although no new request can go there."""
    asked, fails = asyncio.Event(), asyncio.Event()

    async def script(connection: Connection) -> None:
        asked.set()
        await fails.wait()

    body = {"model": "fast", "messages": [{"role": "user", "content": "Who?"}]}
    async with ScriptedProvider(script) as ill:
        file = File(
            providers={"ill": ill.section, "beta": provider_section(await make_straw("beta"))},
            models={"fast": route("ill:m", "beta:beta-model")},
        )
        async with file.proxy() as proxy:
            asking = asyncio.create_task(_provider_of_answer(http, url(proxy, "/v1/chat/completions"), body))
            async with asyncio.timeout(10):
                await asked.wait()
                file.sections["models"] = {}
                del file.sections["providers"]["beta"]
                await proxy.reload()
                fails.set()
                assert await asking == (200, "beta")
            async with http.post(url(proxy, "/v1/chat/completions"), json={**body, "model": "beta:m"}) as response:
                assert response.status == 404


async def _provider_of_answer(http: aiohttp.ClientSession, address: str, body: object) -> tuple[int, str]:
    async with http.post(address, json=body) as response:
        await response.read()
        return response.status, response.headers["x-pointsman-provider"]


async def test_settings_from_nowhere_are_not_reloaded() -> None:
    """A proxy that was not told how to read its settings again says so."""
    file = File()
    async with Proxy(file.load()) as proxy:
        with pytest.raises(ConfigError, match="no file that could be read again"):
            await proxy.reload()


async def test_a_fault_of_ours_doesnt_end_all_later_reloads(
    make_straw: MakeStraw, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever reading the file raises, the next reload is made."""
    file = File(providers={"beta": provider_section(await make_straw("beta"))})
    failing, well = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def load() -> Settings:
        if not failing.is_set():
            loop.call_soon_threadsafe(failing.set)
            raise RuntimeError("something that nobody foresaw")
        loop.call_soon_threadsafe(well.set)
        return file.load()

    async with Proxy(file.load(), load) as proxy:
        for reading in (failing, well):
            proxy.reload_soon()
            async with asyncio.timeout(10):
                await reading.wait()

    assert "something that nobody foresaw" in caplog.text
