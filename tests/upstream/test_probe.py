"""What is out of service is asked whether it is well."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from proxy.config import Provider, parse_settings
from proxy.errors import Failure
from proxy.routing import RoutingTarget
from proxy.upstream import Upstream
from proxy.upstream.breaker import BreakerState
from proxy.upstream.health import Health
from proxy.upstream.probe import Prober
from tests.upstream.loopback import unused_port
from tests.upstream.test_breaker import Clock

A, B = RoutingTarget("up", "a"), RoutingTarget("up", "b")


class Asked:
    """A provider that notes what it is asked."""

    def __init__(self) -> None:
        self.port = 0
        self.status = 200
        self.is_silent = False
        self.refused_field: str | None = None
        self.requests: list[tuple[str, str, Any, str | None]] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        key = request.headers.get("Authorization") or request.headers.get("x-api-key")
        self.requests.append((request.method, request.path, body, key or request.headers.get("x-goog-api-key")))
        if self.is_silent:
            await asyncio.Event().wait()
        if body is not None and self.refused_field in body:
            return web.json_response({"error": "use max_completion_tokens"}, status=400)
        return web.json_response({"data": []}, status=self.status)


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    asked = Asked()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", asked.answer)
    async with TestServer(app) as server:
        asked.port = server.port or 0
        yield asked


class Bench:
    """A prober whose clock is the test's, with one provider."""

    def __init__(self, provider: Provider) -> None:
        self.clock = Clock()
        self.health = Health(clock=self.clock, chance=lambda: 0.5)
        self.upstream = Upstream({"up": provider})
        self.prober = Prober(self.upstream, self.health, self.clock)

    def break_down(self, target: RoutingTarget, retry_after_s: float | None = None) -> None:
        endpoint = self.health.of(target)
        while endpoint.state is BreakerState.CLOSED:
            endpoint.fail(endpoint.admit(), Failure.UNAVAILABLE, retry_after_s)

    async def look(self) -> None:
        self.prober.look()
        await asyncio.gather(*self.prober.under_way)

    def state(self, target: RoutingTarget = A) -> BreakerState:
        return self.health.of(target).state


def provider_of(asked: Asked, probe: str, protocol: str = "openai") -> Provider:
    url = f"http://127.0.0.1:{asked.port}" + ("/v1" if protocol == "openai" else "")
    text = f"providers: {{up: {{protocols: {{{protocol}: '{url}'}}, api_key: k3y, probe: {probe}}}}}"
    return parse_settings(text, {}).providers["up"]


async def test_the_list_of_models_brings_all_endpoints_back(asked: Asked) -> None:
    bench = Bench(provider_of(asked, "{every_s: 7}"))
    async with bench.upstream:
        bench.break_down(A)
        bench.break_down(B)
        await bench.look()
        bench.clock.now += 6.9
        await bench.look()
        assert asked.requests == []
        bench.clock.now += 0.1
        await bench.look()

    assert asked.requests == [("GET", "/v1/models", None, "Bearer k3y")]
    assert bench.health.all_usable


@pytest.mark.parametrize(
    ("protocol", "path", "part", "key"),
    [
        ("openai", "/v1/chat/completions", {"model": "a", "max_tokens": 1}, "Bearer k3y"),
        ("anthropic", "/v1/messages", {"model": "a", "max_tokens": 1}, "k3y"),
        ("gemini", "/v1beta/models/a:generateContent", {"generationConfig": {"maxOutputTokens": 1}}, "k3y"),
    ],
)
async def test_a_request_goes_to_each_endpoint(asked: Asked, protocol: str, path: str, part: Any, key: str) -> None:
    bench = Bench(provider_of(asked, "{by: request}", protocol))
    async with bench.upstream:
        bench.health.of(B)
        bench.break_down(A)
        await bench.look()
        bench.clock.now += 10
        await bench.look()

    assert [(method, at, sent) for method, at, _, sent in asked.requests] == [("POST", path, key)]
    assert part.items() <= asked.requests[0][2].items()
    assert bench.health.all_usable


@pytest.mark.parametrize("protocol", ["anthropic", "gemini"])
async def test_each_protocol_has_its_list(asked: Asked, protocol: str) -> None:
    bench = Bench(provider_of(asked, "{}", protocol))
    async with bench.upstream:
        bench.break_down(A)
        await bench.look()
        bench.clock.now += 10
        await bench.look()

    version = {"anthropic": "v1", "gemini": "v1beta"}[protocol]
    assert asked.requests == [("GET", f"/{version}/models", None, "k3y")]
    assert bench.health.all_usable


@pytest.mark.parametrize(
    ("status", "is_well"), [(200, True), (400, True), (401, False), (404, False), (429, False), (503, False)]
)
async def test_what_tells_that_it_is_well(asked: Asked, status: int, is_well: bool) -> None:
    """A refusal of what the probe asks is an answer, too."""
    asked.status = status
    bench = Bench(provider_of(asked, "{by: request}"))
    async with bench.upstream:
        bench.break_down(A)
        await bench.look()
        bench.clock.now += 10
        await bench.look()

    assert (bench.state() is BreakerState.CLOSED) == is_well


async def test_a_model_that_wants_the_newer_name_of_the_limit_is_asked_with_it(asked: Asked) -> None:
    """So that its own words count, and not a refusal that it gives while it is down."""
    asked.refused_field, asked.status = "max_tokens", 503
    bench = Bench(provider_of(asked, "{by: request}"))
    async with bench.upstream:
        bench.break_down(A)
        await bench.look()
        bench.clock.now += 10
        await bench.look()

    assert [body.get("max_completion_tokens") for _, _, body, _ in asked.requests] == [None, 1]
    assert bench.state() is BreakerState.OPEN


async def test_one_that_fails_is_told_once(asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pointsman.health")
    asked.status = 503
    bench = Bench(provider_of(asked, "{}"))
    async with bench.upstream:
        bench.break_down(A)
        until = bench.health.of(A).open_until
        for _ in range(4):
            await bench.look()
            bench.clock.now += 10

    assert len(asked.requests) == 3
    assert [record.message for record in caplog.records if record.name == "pointsman.health"][1:] == [
        "Probe of 'up': status 503"
    ]
    assert bench.health.of(A).open_until == until


async def test_who_cannot_be_reached_is_no_fault_of_the_program(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pointsman.health")
    text = f"providers: {{up: {{base_url: 'http://127.0.0.1:{unused_port()}/v1', probe: {{}}}}}}"
    bench = Bench(parse_settings(text, {}).providers["up"])
    async with bench.upstream:
        bench.break_down(A)
        await bench.look()
        bench.clock.now += 10
        await bench.look()

    assert "Probe of 'up': Provider `up`" in caplog.text
    assert bench.state() is BreakerState.OPEN


async def test_a_pause_that_is_asked_for_is_kept(asked: Asked) -> None:
    bench = Bench(provider_of(asked, "{}"))
    async with bench.upstream:
        bench.break_down(A, retry_after_s=60)
        for _ in range(5):
            await bench.look()
            bench.clock.now += 10

    assert asked.requests == []
    assert bench.state() is BreakerState.OPEN


async def test_without_the_wish_nothing_is_probed(asked: Asked) -> None:
    bench = Bench(provider_of(asked, ""))
    async with bench.upstream:
        bench.break_down(A)
        bench.break_down(RoutingTarget("gone", "a"))
        await bench.look()
        bench.clock.now += 100
        await bench.look()

    assert asked.requests == []


async def test_a_silent_one_is_asked_once_and_let_go_at_the_end(asked: Asked) -> None:
    asked.is_silent = True
    bench = Bench(provider_of(asked, "{}"))
    async with bench.upstream:
        async with bench.prober:
            bench.break_down(A)
            bench.prober.look()
            for _ in range(3):
                bench.clock.now += 10
                bench.prober.look()
            probes = bench.prober.under_way
            async with asyncio.timeout(10):
                while not asked.requests:  # noqa: ASYNC110 - the provider's handler has no event
                    await asyncio.sleep(0)
        assert [probe.cancelled() for probe in probes] == [True]

    assert len(asked.requests) == 1


def test_a_probe_is_configured_for_one_provider() -> None:
    """It isn't derived: it may cost money."""
    text = "providers: {a: {base_url: 'http://h/v1', probe: {by: request}}, b: {derives: a}}"
    providers = parse_settings(text, {}).providers

    assert providers["a"].probe is not None
    assert (providers["a"].probe.every_s, providers["a"].probe.by) == (10, "request")
    assert providers["b"].probe is None
