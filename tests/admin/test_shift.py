"""A route takes over from another step by step, over real sockets; and takes itself back where it does worse."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from proxy.app import Proxy
from proxy.simulator import Faults, StrawProvider
from tests.conftest import MakeProxy, MakeStraw, provider_section, url

OLD = {"provider": "old", "model_id": "a"}
NEW = {"provider": "new", "model_id": "a"}
ASK = {"model": "m", "messages": [{"role": "user", "content": "Where am I?"}]}
HOUR = {"steps": [25, 50, 100], "every_s": 3600}


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """What the proxy tells once it tells something."""
    async with asyncio.timeout(20):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.02)


class Bench:
    """A proxy with a route of two providers, one of which nobody asks yet."""

    def __init__(self, proxy: Proxy, old: StrawProvider, new: StrawProvider, http: aiohttp.ClientSession) -> None:
        self.proxy = proxy
        self.old = old
        self.new = new
        self.http = http
        self.statuses: list[int] = []

    async def ask(self) -> str:
        """Send a request; who served it."""
        async with self.http.post(url(self.proxy, "/v1/chat/completions"), json=ASK) as response:
            await response.read()
            self.statuses.append(response.status)
            return response.headers.get("x-pointsman-provider", "")

    async def post(self, path: str, body: object, status: int = 200) -> Any:
        async with self.http.post(url(self.proxy, f"/admin/{path}"), json=body) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer

    async def shift(self, shift: object = HOUR, status: int = 200, **more: object) -> Any:
        return await self.post("routes", {"model": "m", "endpoints": [NEW], "shift": shift, **more}, status)

    async def route(self) -> Any:
        """The route as the API shows it."""
        async with self.http.get(url(self.proxy, "/admin/routes")) as response:
            (route,) = (await response.json())["routes"]
            return route

    async def history(self) -> Any:
        async with self.http.get(url(self.proxy, "/admin/history")) as response:
            return (await response.json())["changes"]

    async def changed(self, is_wanted: Callable[[Any], bool]) -> Any:
        """Wait for a change such as is wanted."""

        async def look() -> Any:
            return next((each for each in await self.history() if is_wanted(each)), None)

        return await eventually(look)

    async def judged(self, is_wanted: Callable[[Any], bool]) -> Any:
        """Wait for a judgement such as is wanted."""

        async def look() -> Any:
            judgement = (await self.route())["shift"]["judgement"]
            return judgement if judgement is not None and is_wanted(judgement) else None

        return await eventually(look)

    async def changed_health(self) -> None:
        """Wait until some endpoint is left alone."""

        async def look() -> bool:
            return bool(self.proxy._health.troubled())

        await eventually(look)

    @asynccontextmanager
    async def load(self, clients: int = 8) -> AsyncIterator[None]:
        """Clients that ask all the time."""

        async def keep_asking() -> None:
            while True:
                await self.ask()

        tasks = [asyncio.create_task(keep_asking()) for _ in range(clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(result, asyncio.CancelledError), result


@pytest.fixture
async def bench(make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession) -> Bench:
    old, new = await make_straw("old"), await make_straw("new")
    old.faults = new.faults = Faults(latency_ms=2)
    sections = {straw.name: provider_section(straw) for straw in (old, new)}
    proxy = await make_proxy(server={"access_log": "off"}, providers=sections, models={"m": {"endpoints": [OLD]}})
    return Bench(proxy, old, new, http)


async def test_the_first_step_is_in_force_at_once(bench: Bench) -> None:
    answer = await bench.shift(reason="cheaper")

    assert [await bench.ask() for _ in range(8)] == ["old", "old", "old", "new"] * 2
    assert (answer["status"], answer["old_targets"]) == ("ok", [])
    route = await bench.route()
    assert [each["provider"] for each in route["endpoints"]] == ["new", "old"]
    shift = route["shift"]
    assert (shift["state"], shift["share"], shift["step"], shift["steps"]) == ("running", 25, 0, [25, 50, 100])
    assert [each["provider"] for each in (*shift["to"]["endpoints"], *shift["old"]["endpoints"])] == ["new", "old"]
    assert shift["guard"] == {
        "window_s": 10,
        "min_attempts": 20,
        "error_margin": 0.05,
        "ttfb_factor": 2,
        "ttfb_slack_s": 0.5,
    }


async def test_what_fails_on_the_new_side_is_served_by_the_old(bench: Bench) -> None:
    bench.new.faults = Faults(error_rate=1)
    await bench.shift()

    assert [await bench.ask() for _ in range(8)] == ["old"] * 8
    assert bench.new.counters.received == 2


async def test_it_takes_its_steps_and_ends_as_the_new_route(bench: Bench) -> None:
    await bench.shift({"steps": [10, 50, 100], "every_s": 0.05, "guard": None})

    await bench.changed(lambda each: each["reason"] == "step 3 of 3: 100 %")
    changes = list(reversed(await bench.history()))
    assert [(each["actor"], each["action"]) for each in changes] == [
        ("local", "set"),
        ("local (shift)", "shift"),
        ("local (shift)", "shift"),
    ]
    shares = [each["routes"][0]["after"].get("shift", {}).get("share") for each in changes]
    assert shares == [10, 50, None]
    route = await bench.route()
    assert "shift" not in route
    assert [each["provider"] for each in route["endpoints"]] == ["new"]
    assert {await bench.ask() for _ in range(10)} == {"new"}


async def test_pause_resume_abort(bench: Bench) -> None:
    await bench.shift()
    await bench.post("routes/m/shift/pause", {"reason": "lunch"})
    paused = (await bench.route())["shift"]
    assert (paused["state"], paused["next_at"], paused["share"]) == ("paused", None, 25)
    assert "paused already" in (await bench.post("routes/m/shift/pause", {}, 409))["error"]["message"]

    await bench.post("routes/m/shift/resume", {})
    assert (await bench.route())["shift"]["state"] == "running"
    assert "under way already" in (await bench.post("routes/m/shift/resume", {}, 409))["error"]["message"]

    await bench.post("routes/m/shift/abort", {"reason": "never mind"})
    route = await bench.route()
    assert (route["source"], "shift" in route) == ("config", False)
    assert {await bench.ask() for _ in range(8)} == {"old"}
    assert "not shifting" in (await bench.post("routes/m/shift/abort", {}, 404))["error"]["message"]
    assert [(each["actor"], each["action"]) for each in (await bench.history())[:3]] == [("local", "shift")] * 3


async def test_a_paused_one_takes_no_step(bench: Bench) -> None:
    await bench.shift({"steps": [10, 100], "every_s": 0.3, "guard": None})
    await bench.post("routes/m/shift/pause", {})
    # A later shift of another route takes all of its steps meanwhile.
    await bench.post("routes", {"model": "n", "endpoints": [OLD]})
    await bench.post(
        "routes", {"model": "n", "endpoints": [NEW], "shift": {"steps": [50, 100], "every_s": 0.4, "guard": None}}
    )
    await bench.changed(lambda each: each["reason"] == "step 2 of 2: 100 %")

    assert bench.proxy.table.describe("m").shift.share == 10  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["swap", "remove", "rollback"])
async def test_who_changes_the_route_ends_its_shift(bench: Bench, how: str) -> None:
    await bench.post("routes", {"model": "m", "endpoints": [OLD, NEW]})
    await bench.shift()
    match how:
        case "swap":
            await bench.post("routes", {"model": "m", "endpoints": [OLD]})
        case "remove":
            async with bench.http.delete(url(bench.proxy, "/admin/routes/m")) as response:
                assert response.status == 200
        case "rollback":
            await bench.post("routes/m/rollback", {})

    route = await bench.route()
    assert "shift" not in route
    assert [each["provider"] for each in route["endpoints"]] == (["old", "new"] if how == "rollback" else ["old"])
    assert bench.proxy.table.shifting() == []


async def test_who_goes_back_into_a_shift_finds_it_paused(bench: Bench) -> None:
    revision = (await bench.shift())["revision"]
    await bench.post("routes", {"model": "m", "endpoints": [OLD]})
    await bench.post("rollback", {"to_revision": revision})

    shift = (await bench.route())["shift"]
    assert (shift["state"], shift["share"]) == ("paused", 25)


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        ({"steps": [], "every_s": 1}, "shift.steps"),
        ({"steps": [5, 25], "every_s": 1}, "the last of them 100"),
        ({"steps": [25, 25, 100], "every_s": 1}, "each more than the one before"),
        ({"steps": [0, 100], "every_s": 1}, "shift.steps[0]"),
        ({"steps": [5, 100], "every_s": 0}, "shift.every_s"),
        ({"steps": [5, 100]}, "every_s"),
        ({"steps": [5, 100], "every_s": 1, "gard": {}}, "did you mean `guard`?"),
        ({"steps": [5, 100], "every_s": 1, "guard": {"margin": 1}}, "error_margin"),
    ],
)
async def test_what_is_no_shift(bench: Bench, shift: object, said: str) -> None:
    refused = await bench.shift(shift, 400)

    assert said in refused["error"]["message"]
    assert bench.proxy.table.revision == 0


async def test_there_must_be_a_route_to_shift_from_which_doesnt_shift(bench: Bench) -> None:
    body = {"model": "fresh", "endpoints": [NEW], "shift": HOUR}
    assert "no route to shift from" in (await bench.post("routes", body, 400))["error"]["message"]
    await bench.shift()
    assert "shifting already" in (await bench.shift(status=409))["error"]["message"]


async def test_a_provider_that_either_side_needs_cannot_go(bench: Bench) -> None:
    """A drain during a shift sends the new side's requests to the old one."""
    await bench.shift()
    drained = await bench.post("providers/new/drain", {})

    assert drained["affected"] == [{"model": "m", "goes_to": ["old:a"], "other_way": True}]
    assert [await bench.ask() for _ in range(8)] == ["old"] * 8


GUARDED = {"steps": [20, 100], "every_s": 60, "guard": {"window_s": 0.5, "min_attempts": 20}}


@pytest.mark.parametrize(
    ("sick", "why"),
    [
        # Several of its errors in a row, by chance, open its breaker before the window is over.
        (Faults(latency_ms=2, error_rate=0.3), "attempts at the new endpoints failed|`new:a` is out of service"),
        (Faults(error_rate=1), "`new:a` is out of service"),
        (Faults(latency_ms=700), "The p95 time to first byte of the new endpoints"),
    ],
)
async def test_a_sick_new_endpoint_takes_itself_back(
    bench: Bench, sick: Faults, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Within two windows of enough attempts; clients notice nothing of its errors."""
    bench.new.faults = sick
    slack = {"ttfb_slack_s": 0.2}
    async with bench.load():
        await bench.shift({**GUARDED, "guard": {**GUARDED["guard"], **slack}})  # type: ignore[dict-item]
        back = await bench.changed(lambda each: each["action"] == "shift")

    assert back["actor"] == "local (shift)"
    assert back["reason"].startswith("took itself back at 20 %: ")
    assert re.search(why, back["reason"])
    assert back["routes"][0]["after"] is None
    assert (await bench.route())["source"] == "config"
    assert set(bench.statuses) == {200}
    assert any("The shift of m took itself back" in record.message for record in caplog.records)


async def test_a_new_endpoint_that_never_answers_is_found_by_who_waits_for_it(bench: Bench) -> None:
    bench.new.faults = Faults(first_byte_stall_s=60)
    # As many clients as it takes for twenty of them to wait there.
    async with bench.load(40):
        await bench.shift({**GUARDED, "guard": {"window_s": 1, "ttfb_slack_s": 0.05}})
        back = await bench.changed(lambda each: each["action"] == "shift")

    assert "time to first byte" in back["reason"]


async def test_a_well_one_is_judged_and_stays(bench: Bench) -> None:
    async with bench.load():
        await bench.shift(GUARDED)
        judgement = await bench.judged(lambda each: each["new"]["error_share"] is not None)

    assert judgement["worse"] is False
    assert judgement["new"]["error_share"] == judgement["old"]["error_share"] == 0
    assert judgement["new"]["attempts"] >= 20
    assert judgement["old"]["p95_ttfb_s"] > 0
    assert "shift" in await bench.route()


async def test_an_old_route_that_is_down_is_no_measure(bench: Bench) -> None:
    """Away from what doesn't serve at all, even to what serves badly."""
    bench.old.faults = Faults(error_rate=1)
    bench.new.faults = Faults(error_rate=0.2)
    async with bench.load():
        await bench.changed_health()
        await bench.shift(GUARDED)
        judgement = await bench.judged(lambda each: each["old"]["out_of_service"])

    assert "nothing is worse" in judgement["message"]
    assert judgement["old"]["out_of_service"] == ["old:a"]
