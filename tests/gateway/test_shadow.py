"""A share of a route's requests goes to a candidate as well, and no client feels it."""

import asyncio
from typing import Any

import aiohttp
import pytest
from msgspec.structs import asdict

from proxy.admin.payloads import convert_route
from proxy.app import Proxy
from proxy.config import ConfigError, RouteOptions, Shadow, settings_from
from proxy.gateway.shadow import MOST_UNDER_WAY
from proxy.simulator import Faults, StrawProvider
from tests.conftest import MakeProxy, MakeStraw, provider_section, url
from tests.upstream.loopback import until

ASK = {"model": "m", "messages": [{"role": "user", "content": "Where am I?"}], "unknown": [1.50]}


class Bench:
    """A proxy with a route to one provider, and another that may become its candidate."""

    def __init__(
        self, proxy: Proxy, primary: StrawProvider, candidate: StrawProvider, http: aiohttp.ClientSession
    ) -> None:
        self.proxy = proxy
        self.primary = primary
        self.candidate = candidate
        self.http = http

    async def shadow(self, share: float = 1.0, model_id: str = "b", **more: object) -> None:
        body = {
            "model": "m",
            "endpoints": [{"provider": "primary", "model_id": "a"}],
            "shadow": {"provider": "candidate", "model_id": model_id, "share": share},
            **more,
        }
        async with self.http.post(url(self.proxy, "/admin/routes"), json=body) as response:
            assert response.status == 200, await response.text()

    async def ask(self, **more: object) -> bytes:
        async with self.http.post(url(self.proxy, "/v1/chat/completions"), json={**ASK, **more}) as response:
            assert response.status == 200
            assert response.headers["x-pointsman-provider"] == "primary"
            return await response.read()

    async def figures(self) -> Any:
        async with self.http.get(url(self.proxy, "/admin/routes/m/shadow")) as response:
            return await response.json()

    async def settled(self, mirrored: int) -> Any:
        """The figures once so many requests were mirrored and are over."""
        async with asyncio.timeout(10):
            while True:
                figures = await self.figures()
                if figures.get("mirrored") == mirrored and not figures["under_way"]:
                    return figures
                await asyncio.sleep(0.01)


@pytest.fixture
async def bench(make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession) -> Bench:
    primary, candidate = await make_straw("primary"), await make_straw("candidate")
    sections = {straw.name: provider_section(straw) for straw in (primary, candidate)}
    return Bench(await make_proxy(providers=sections), primary, candidate, http)


async def test_the_share_goes_to_both(bench: Bench) -> None:
    """The body is the client's own but for the model; the key is the candidate's provider's."""
    await bench.shadow(0.25)
    for _ in range(8):
        assert b"primary" in await bench.ask()
    figures = await bench.settled(2)

    assert (bench.primary.counters.received, bench.candidate.counters.received) == (8, 2)
    seen = bench.candidate.requests[0]
    assert seen.body == bench.primary.requests[0].body.replace(b'"model": "a"', b'"model": "b"')
    assert ("Authorization", "Bearer key-of-candidate") in seen.headers
    assert (figures["provider"], figures["model_id"], figures["share"]) == ("candidate", "b", 0.25)
    for side in (figures["primary"], figures["candidate"]):
        assert (side["requests"], side["failed"], side["error_share"], side["causes"]) == (2, 0, 0, {})
        assert 0 < side["ttfb_p50_ms"] <= side["ttfb_p95_ms"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_sick_candidate_is_seen_and_left_alone_and_nobody_feels_it(bench: Bench, stream: bool) -> None:
    """It has a breaker to itself: the endpoint's own, by which requests are routed, learns nothing."""
    await bench.shadow()
    bench.candidate.faults = Faults(error_rate=1)
    for count in range(1, 8):
        await bench.ask(stream=stream)
        await bench.settled(min(count, 5))

    figures = await bench.figures()
    assert figures["state"] == "open"
    assert figures["left_alone"] == 2
    assert figures["candidate"]["causes"] == {"status 500": 5}
    assert figures["primary"]["failed"] == 0
    assert bench.proxy._health.all_usable
    async with bench.http.get(url(bench.proxy, "/metrics")) as response:
        assert 'provider="candidate",result=' not in await response.text()


@pytest.mark.parametrize(
    ("faults", "cause"),
    [(Faults(reset_before_head=True), "broken"), (Faults(reset_mid_stream_after=0), "incomplete")],
)
async def test_what_breaks(bench: Bench, faults: Faults, cause: str) -> None:
    await bench.shadow()
    bench.candidate.faults = faults
    await bench.ask(stream=True)

    assert (await bench.settled(1))["candidate"]["causes"] == {cause: 1}


async def test_the_primarys_failures_are_compared_as_well(bench: Bench) -> None:
    await bench.shadow()
    bench.primary.faults = Faults(error_rate=1)
    async with bench.http.post(url(bench.proxy, "/v1/chat/completions"), json=ASK) as response:
        assert response.status == 500
    figures = await bench.settled(1)

    assert figures["primary"]["causes"] == {"unavailable": 1}
    assert figures["candidate"]["failed"] == 0


async def test_a_silent_candidate_holds_up_nobody_and_is_bounded(bench: Bench) -> None:
    """So many are under way and no more; all end with the proxy."""
    await bench.shadow()
    bench.candidate.faults = Faults(first_byte_stall_s=60)
    async with asyncio.timeout(10):
        for _ in range(MOST_UNDER_WAY + 3):
            await bench.ask()
    figures = await bench.figures()

    assert (figures["under_way"], figures["dropped"]) == (MOST_UNDER_WAY, 3)
    await bench.candidate.received(MOST_UNDER_WAY)
    await bench.proxy.__aexit__(None, None, None)
    await until(lambda: bench.candidate.counters.aborted == MOST_UNDER_WAY)


async def test_clients_have_the_places_first(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession
) -> None:
    """Where the provider may have only so many requests at a time, a mirrored one takes a free place or none."""
    straw = await make_straw("primary")
    providers = {"primary": {**provider_section(straw), "concurrency": {"requests": 1}}}
    endpoint = {"provider": "primary", "model_id": "a"}
    shadow = {**endpoint, "model_id": "b", "share": 1}
    proxy = await make_proxy(providers=providers, models={"m": {"endpoints": [endpoint], "shadow": shadow}})
    bench = Bench(proxy, straw, straw, http)
    await bench.ask()

    figures = await bench.figures()
    assert (figures["mirrored"], figures["dropped"]) == (0, 1)


async def test_a_form_that_can_be_read_only_once_is_not_mirrored(bench: Bench) -> None:
    await bench.shadow()
    form = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n--b--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    path = "/v1/audio/transcriptions"
    async with bench.http.post(url(bench.proxy, path), data=form, headers=headers) as response:
        assert response.status == 200

    assert bench.candidate.counters.received == 0


async def test_a_new_shadow_begins_anew_and_none_has_no_figures(bench: Bench) -> None:
    await bench.shadow()
    await bench.ask()
    await bench.settled(1)
    await bench.shadow(model_id="c")
    await bench.ask()

    assert (await bench.settled(1))["model_id"] == "c"
    async with bench.http.get(url(bench.proxy, "/admin/routes/other/shadow")) as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("shadow", "said"),
    [
        ({"provider": "gone", "model_id": "b", "share": 1}, "no provider `gone`"),
        ({"provider": "candidate", "model_id": "b", "share": 0}, "shadow.share"),
        ({"provider": "candidate", "model_id": "b"}, "share"),
        ({"provider": "candidate", "model_id": "b", "share": 1, "base_url": "http://h"}, "Unknown field `base_url`"),
    ],
)
async def test_what_is_no_shadow(bench: Bench, shadow: object, said: str) -> None:
    body = {"model": "m", "endpoints": [{"provider": "primary", "model_id": "a"}], "shadow": shadow}
    async with bench.http.post(url(bench.proxy, "/admin/routes"), json=body) as response:
        assert response.status == 400
        assert said in (await response.json())["error"]["message"]


def test_the_page_keeps_the_shadow_of_a_route_that_it_swaps() -> None:
    """What its form doesn't show goes on as it was."""
    options = RouteOptions(shadow=Shadow("p", "b", 0.5))
    fields = {**asdict(options), "model": "m", "endpoints": [{"provider": "p", "model_id": "a"}]}

    assert convert_route(fields).shadow == options.shadow


def test_a_config_routes_shadow_must_be_at_a_configured_provider() -> None:
    providers = {"p": {"base_url": "http://h/v1"}}
    route: dict[str, Any] = {"endpoints": [{"provider": "p", "model_id": "a"}]}
    shadow = {"provider": "p", "model_id": "b", "share": 0.1}
    settings = settings_from({"providers": providers, "models": {"m": {**route, "shadow": shadow}}})
    assert str(settings.models["m"].options.shadow) == "10 % to p:b"

    with pytest.raises(ConfigError, match="configured provider"):
        settings_from({"providers": providers, "models": {"m": {**route, "shadow": {**shadow, "provider": "q"}}}})
