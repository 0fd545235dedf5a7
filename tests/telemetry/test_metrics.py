"""Metrics tell what became of each request, and their labels stay few."""

from collections import Counter

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.app import Proxy
from proxy.config import hash_token
from proxy.errors import Failure
from proxy.gateway import relay
from proxy.routing import DynamicRoute, Resolution, RouteEndpoint, RouteSource, RoutingTarget
from proxy.telemetry import Attempt, Ending, Outcome, metrics
from proxy.telemetry.metrics import BOUNDS_S, Histogram, Metrics
from tests.conftest import MakeProxy, MakeStraw, provider_section, url
from tests.telemetry.conftest import ScrapeOf


async def ask(http: aiohttp.ClientSession, proxy: Proxy, model: str, *, stream: bool = False) -> int:
    """Ask for a chat completion and read all of it."""
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Where am I?"}]}
    async with http.post(url(proxy, "/v1/chat/completions"), json=body) as answer:
        await answer.read()
        return answer.status


async def test_requests_are_counted_where_they_went(
    proxy: Proxy, http: aiohttp.ClientSession, scrape: ScrapeOf
) -> None:
    """By model, provider, status and ending, with tokens, times and attempts."""
    for stream in (False, True):
        assert await ask(http, proxy, "fast", stream=stream) == 200

    scraped = await scrape(proxy)

    where = {"model": "fast", "provider": "straw"}
    endpoint = {"provider": "straw", "model_id": "straw-small"}
    assert scraped.total("pointsman_requests_total", **where, status="200", ending="complete") == 2
    assert scraped.total("pointsman_request_duration_seconds_count", **where) == 2
    assert scraped.total("pointsman_tokens_total", **where, direction="input") > 0
    assert scraped.total("pointsman_tokens_total", **where, direction="output") > 0
    assert scraped.total("pointsman_attempts_total", **endpoint, result="ok") == 2
    assert scraped.total("pointsman_time_to_first_byte_seconds_count", **endpoint) == 2
    assert scraped.total("pointsman_time_to_first_byte_seconds_sum", **endpoint) > 0
    assert scraped.total("pointsman_request_errors_total") == 0
    assert scraped.total("pointsman_requests_in_flight") == 0
    assert scraped.total("pointsman_pool_connections", provider="straw", protocol="openai", state="idle") == 1
    assert scraped.total("pointsman_build_info") == 1


async def test_what_clients_make_up_is_no_label(proxy: Proxy, http: aiohttp.ClientSession, scrape: ScrapeOf) -> None:
    """Unknown models are one label, and so are the model ids of direct names."""
    for number in range(3):
        assert await ask(http, proxy, f"made-up-{number}") == 404
        assert await ask(http, proxy, f"straw:made-up-{number}") == 200

    scraped = await scrape(proxy)

    assert scraped.values("model") == {"(unknown)", "(direct)"}
    assert scraped.values("model_id") == {"(direct)"}
    assert scraped.total("pointsman_requests_total", model="(unknown)", status="404") == 3
    assert scraped.total("pointsman_requests_total", model="(direct)", provider="straw", status="200") == 3
    assert scraped.total("pointsman_request_errors_total", model="(unknown)", cause="model_not_found") == 3


async def test_a_provider_that_fails_is_counted_with_its_cause(
    make_proxy: MakeProxy, http: aiohttp.ClientSession, scrape: ScrapeOf
) -> None:
    """Nobody listens at port 9."""
    proxy = await make_proxy(
        providers={"gone": {"base_url": "http://127.0.0.1:9/v1"}},
        models={"fast": {"endpoints": [{"provider": "gone", "model_id": "small"}]}},
    )

    assert await ask(http, proxy, "fast") == 502

    scraped = await scrape(proxy)
    assert scraped.total("pointsman_requests_total", model="fast", provider="gone", status="502") == 1
    assert scraped.total("pointsman_request_errors_total", model="fast", provider="gone") == 1
    assert scraped.total("pointsman_attempts_total", provider="gone", model_id="small") == 1
    assert scraped.total("pointsman_attempts_total", result="ok") == 0


async def test_a_failover_is_counted(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, scrape: ScrapeOf
) -> None:
    """The request went well, one attempt didn't, and the endpoints' health is there to be seen."""
    proxy = await make_proxy(
        providers={"gone": {"base_url": "http://127.0.0.1:9/v1"}, "straw": provider_section(await make_straw())},
        models={
            "fast": {"endpoints": [{"provider": "gone", "model_id": "a"}, {"provider": "straw", "model_id": "b"}]},
        },
    )

    assert await ask(http, proxy, "fast") == 200

    scraped = await scrape(proxy)
    assert scraped.total("pointsman_failovers_total", **{"model": "fast", "from": "gone:a", "to": "straw:b"}) == 1
    assert scraped.total("pointsman_attempts_total", provider="gone", result="connect") == 1
    assert scraped.total("pointsman_attempts_total", provider="straw", result="ok") == 1
    assert scraped.total("pointsman_requests_total", provider="straw", status="200") == 1
    assert scraped.total("pointsman_request_errors_total") == 0
    assert scraped.total("pointsman_breaker_state", provider="gone", model_id="a", state="closed") == 1
    assert scraped.total("pointsman_attempts_in_flight") == 0


async def test_a_swap_is_seen(
    proxy: Proxy, make_straw: MakeStraw, http: aiohttp.ClientSession, scrape: ScrapeOf
) -> None:
    """The revision grows, and so does the count of swaps."""
    before = await scrape(proxy)
    proxy.table.add_route(DynamicRoute("fast", [RouteEndpoint("straw", "straw-large")]))
    after = await scrape(proxy)

    for name in ("pointsman_table_revision", "pointsman_swaps_total", "pointsman_changes_total"):
        assert after.total(name) == before.total(name) + 1
    assert after.total("pointsman_changes_total", action="set") == 1


@pytest.mark.parametrize("path", ["/metrics", "/admin/metrics"])
@pytest.mark.parametrize("has_listener", [False, True], ids=["mounted", "own listener"])
async def test_metrics_are_behind_the_admin_guard(
    make_proxy: MakeProxy,
    make_straw: MakeStraw,
    http: aiohttp.ClientSession,
    path: str,
    *,
    has_listener: bool,
) -> None:
    """Without the token nobody reads them; without one set, only who addresses this machine by a loopback name."""
    listener = {"listen": "127.0.0.1:0"} if has_listener else {}
    scraper = {"name": "prometheus", "role": "viewer", "hash": hash_token("its-own")}
    guarded = await make_proxy(admin={"token": "s3cret", "tokens": [scraper], **listener})
    free = await make_proxy(admin=listener) if listener else await make_proxy()

    async def status(proxy: Proxy, headers: dict[str, str]) -> int:
        address = proxy.admin_address
        statuses = set()
        for accept in ("*/*", "text/plain"):
            async with http.get(f"http://{address}{path}", headers={"Accept": accept, **headers}) as answer:
                statuses.add(answer.status)
        return statuses.pop() if len(statuses) == 1 else 0

    assert await status(guarded, {}) == 401
    assert await status(guarded, {"Authorization": "Bearer wrong"}) == 401
    assert await status(guarded, {"Authorization": "Bearer s3cret"}) == 200
    assert await status(guarded, {"Authorization": "Bearer its-own"}) == 200
    assert await status(free, {}) == 200
    assert await status(free, {"Host": "rebound.example"}) == 403
    if has_listener:
        async with http.get(url(free, path)) as answer:
            assert answer.status == 404


async def test_a_request_under_way_is_in_flight(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, scrape: ScrapeOf
) -> None:
    """A stream counts until it is over."""
    straw = await make_straw(token_delay_s=0.5)
    proxy = await make_proxy(
        providers={"straw": provider_section(straw)},
        models={"fast": {"endpoints": [{"provider": "straw", "model_id": "straw-small"}]}},
    )
    body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    async with http.post(url(proxy, "/v1/chat/completions"), json=body) as answer:
        await answer.content.readany()
        under_way = await scrape(proxy)
        assert under_way.total("pointsman_requests_in_flight") == 1
        assert under_way.total("pointsman_pool_connections", provider="straw", state="busy") == 1


async def test_limits_and_budgets_are_told(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, scrape: ScrapeOf
) -> None:
    """Places that are taken, who got none, and what a provider's failures may cost."""
    proxy = await make_proxy(
        providers={
            "straw": {
                **provider_section(await make_straw(token_delay_s=0.5)),
                "concurrency": {"requests": 1, "waiting": 0},
            }
        },
        models={"fast": {"endpoints": [{"provider": "straw", "model_id": "straw-small"}]}},
    )
    body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    async with http.post(url(proxy, "/v1/chat/completions"), json=body) as answer:
        await answer.content.readany()
        assert await ask(http, proxy, "fast") == 429
        scraped = await scrape(proxy)

    place = {"provider": "straw", "model_id": ""}
    assert scraped.total("pointsman_concurrency_in_use", **place) == 1
    assert scraped.total("pointsman_concurrency_waiting", **place) == 0
    assert scraped.total("pointsman_concurrency_refused_total", **place) == 1
    assert scraped.total("pointsman_retry_budget", provider="straw") >= 10


async def test_pauses_of_a_stream_are_counted(
    make_straw: MakeStraw,
    make_proxy: MakeProxy,
    http: aiohttp.ClientSession,
    scrape: ScrapeOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those between two tokens are usual, but not where any pause counts."""
    proxy = await make_proxy(
        providers={"straw": provider_section(await make_straw(token_delay_s=0.005))},
        models={"fast": {"endpoints": [{"provider": "straw", "model_id": "straw-small"}]}},
    )
    assert await ask(http, proxy, "fast", stream=True) == 200
    assert (await scrape(proxy)).total("pointsman_stream_stalls_total") == 0

    monkeypatch.setattr(relay, "STALL_S", 0.0)
    assert await ask(http, proxy, "fast", stream=True) == 200

    assert (await scrape(proxy)).total("pointsman_stream_stalls_total", provider="straw", model_id="straw-small") > 0


def test_failovers_and_failures_are_counted_by_what_failed() -> None:
    """From which target to which, and why; an attempt that was given up is neither well nor failed."""
    first, second = RoutingTarget("alpha", "a"), RoutingTarget("beta", "b")
    counted = Metrics()
    outcome = Outcome("127.0.0.1", "POST", "/v1/chat/completions")
    outcome.model, outcome.resolution = "fast", Resolution(first, (second,), RouteSource.CONFIG, 1)
    outcome.attempts = [Attempt(first), Attempt(second), Attempt(second)]
    outcome.attempts[0].fail(Failure.RATE_LIMITED, "answered 429", 429)
    outcome.served_by = outcome.attempts[1]
    outcome.served_by.head_arrived(200)
    outcome.status, outcome.ending, outcome.stalls = 200, Ending.COMPLETE, 2

    counted.add(outcome)
    counted.settle()

    assert counted.failovers["fast", first, second].value == 1
    assert counted.endpoints[first].results == {Failure.RATE_LIMITED: 1}
    assert (counted.endpoints[second].answered, counted.endpoints[second].stalls) == (1, 2)
    assert counted.endpoints[second].results == {"abandoned": 1}
    assert not counted.errors


@given(st.lists(st.lists(st.sampled_from(BOUNDS_S) | st.floats(0, 1000), max_size=8), max_size=4))
def test_values_fall_between_the_same_bounds_however_they_are_counted(batches: list[list[float]]) -> None:
    """As Prometheus has it: a bound is part of the bucket below it."""
    histogram = Histogram()
    for batch in batches:
        histogram.observe(list(batch))

    values = [value for batch in batches for value in batch]
    places = Counter(sum(value > bound for bound in BOUNDS_S) for value in values)
    assert histogram.counts == [places[place] for place in range(len(BOUNDS_S) + 1)]
    assert histogram.sum == pytest.approx(sum(values))


def test_no_label_grows_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit everything is counted under one name, and nothing is lost."""
    monkeypatch.setattr(metrics, "MOST_CELLS", 10)
    counted = Metrics()
    for number in range(100):
        outcome = Outcome("127.0.0.1", "POST", "/v1/chat/completions")
        target = RoutingTarget("straw", f"id-{number}")
        outcome.model, outcome.resolution = f"model-{number}", Resolution(target, (), RouteSource.DYNAMIC, 1)
        outcome.served_by = Attempt(target)
        outcome.served_by.head_arrived(200)
        outcome.attempts.append(outcome.served_by)
        outcome.status, outcome.ending = 200, Ending.COMPLETE
        counted.add(outcome)
    counted.settle()

    assert sum(way.complete for way in counted.ways.values()) == 100
    assert sum(endpoint.answered for endpoint in counted.endpoints.values()) == 100
    assert all(len(cells) <= 12 for cells in (counted.ways, counted.endpoints, counted.durations))
