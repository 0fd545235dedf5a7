"""Events as they happen: figures that match the traffic, resumed without a gap, and nobody holds anything up."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest

from proxy.app import Proxy
from proxy.config import settings_from
from proxy.routing import Action, Cause, Draft, Drain, DynamicRoute, RouteEndpoint
from proxy.telemetry import feed
from tests.conftest import MakeProxy, MakeStraw, provider_section, url


class Event(NamedTuple):
    """One event as a page gets it."""

    kind: str
    id: str
    data: Any


class Stream:
    """What is read of `GET /admin/events`."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def next(self, *kinds: str) -> Event:
        """The next event, or the next of these kinds."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while line := (await self._answer.content.readline()).decode():
                if line != "\n":
                    name, _, value = line.rstrip("\n").partition(": ")
                    fields[name] = value
                elif "event" in fields:
                    event = Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
                    if not kinds or event.kind in kinds:
                        return event
                    fields = {}
        raise EOFError

    async def rest(self) -> bytes:
        """All up to the end."""
        async with asyncio.timeout(10):
            return await self._answer.content.read()


@asynccontextmanager
async def listening(http: aiohttp.ClientSession, proxy: Proxy, after: str = "", **query: str) -> AsyncIterator[Stream]:
    """Listen to a proxy's events."""
    headers = {"Last-Event-ID": after} if after else {}
    async with http.get(f"http://{proxy.admin_address}/admin/events", params=query, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Stream(answer)


def swap(proxy: Proxy, model: str = "fast", model_id: str = "x") -> None:
    """Change a route."""
    proxy.table.add_route(DynamicRoute(model, [RouteEndpoint("straw", model_id)]))


async def ask(http: aiohttp.ClientSession, proxy: Proxy, model: str = "fast") -> int:
    """Ask for a chat completion and read all of it."""
    async with http.post(url(proxy, "/v1/chat/completions"), json={"model": model, "messages": []}) as answer:
        await answer.read()
        return answer.status


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the traffic more often than once a second."""
    monkeypatch.setattr(feed, "EVERY_S", 0.05)


async def test_changes_breakers_and_alarms_are_told(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession
) -> None:
    """Each with what there is to know of it, in the order in which they happen."""
    proxy = await make_proxy(
        providers={"gone": {"base_url": "http://127.0.0.1:9/v1"}, "straw": provider_section(await make_straw())},
        models={"dead": {"endpoints": [{"provider": "gone", "model_id": "a"}]}},
    )
    async with listening(http, proxy, kinds="change,breaker,alarm") as stream:
        hello = await stream.next()
        swap(proxy)
        proxy.table.apply(Draft(drains={"straw": Drain("straw")}), Cause(Action.DRAIN, "amy", "it is slow"))
        for _ in range(6):
            assert await ask(http, proxy, "dead") == 502
        set_route, drained, breaker, alarm = [await stream.next() for _ in range(4)]

    assert (hello.kind, hello.data) == ("hello", {"revision": 0})
    assert set_route.kind == drained.kind == "change"
    assert set_route.data["routes"] == [{"model": "fast", "before": None, "after": ["straw:x"]}]
    assert (set_route.data["revision"], set_route.data["action"]) == (1, "set")
    assert (drained.data["actor"], drained.data["reason"], drained.data["action"]) == ("amy", "it is slow", "drain")
    assert drained.data["drains"] == [{"provider": "straw", "drained": True}]
    assert (breaker.kind, breaker.data["provider"], breaker.data["before"]) == ("breaker", "gone", "closed")
    assert (breaker.data["after"], breaker.data["reason"]) == ("open", "5 failures in a row (connect)")
    assert (alarm.kind, alarm.data["subject"]) == ("alarm", "gone:a")


@pytest.mark.usefixtures("quick")
async def test_readings_match_the_traffic(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession
) -> None:
    """Every request is in one reading, with its route and its endpoints; what nobody asked for isn't there."""
    proxy = await make_proxy(
        providers={"gone": {"base_url": "http://127.0.0.1:9/v1"}, "straw": provider_section(await make_straw())},
        models={
            "fast": {"endpoints": [{"provider": "gone", "model_id": "a"}, {"provider": "straw", "model_id": "b"}]},
            "idle": {"endpoints": [{"provider": "straw", "model_id": "c"}]},
        },
    )
    assert await ask(http, proxy) == 200  # before anybody listens: not to be told
    asked = 30
    counted = {"fast": 0.0, "(unknown)": 0.0, "straw": 0.0, "gone": 0.0, "total": 0.0}
    failed = {"gone": 0.0, "total": 0.0}
    reading: dict[str, Any] = {}
    async with listening(http, proxy, kinds="readings") as stream:
        await stream.next("readings")
        for number in range(asked):
            assert await ask(http, proxy, "none" if number % 3 == 0 else "fast") in {200, 404}
        while round(counted["total"]) < asked:
            reading = (await stream.next("readings")).data
            window_s = reading["window_s"]
            rows = [("total", reading["total"]), *((each["model"], each) for each in reading["routes"])]
            rows += [(each["provider"], each) for each in reading["endpoints"]]
            for name, row in rows:
                counted[name] += row["requests_per_s"] * window_s
                if name in failed and row["error_share"]:
                    failed[name] += row["requests_per_s"] * window_s * row["error_share"]
                if name == "fast" and row["requests_per_s"]:
                    assert 0 < row["first_byte_p50_ms"] <= row["first_byte_p95_ms"]
                    assert row["tokens_per_s"] > 0

    assert {name: round(count) for name, count in counted.items()} == {
        "fast": 20,
        "(unknown)": 10,
        "straw": 20,
        "gone": 4,
        "total": 30,
    }
    assert round(failed["gone"]) == 4  # with the one before, its breaker has opened
    assert round(failed["total"]) == 10
    assert {each["provider"]: each["state"] for each in reading["endpoints"]}["gone"] == "open"


@pytest.mark.usefixtures("quick")
async def test_what_is_under_way_is_in_flight(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession
) -> None:
    """A stream counts for its route and its endpoint until it is over."""
    proxy = await make_proxy(
        providers={"straw": provider_section(await make_straw(token_delay_s=0.5))},
        models={"fast": {"endpoints": [{"provider": "straw", "model_id": "b"}]}},
    )
    body = {"model": "fast", "stream": True, "messages": []}
    async with listening(http, proxy, kinds="readings") as stream:
        async with http.post(url(proxy, "/v1/chat/completions"), json=body) as answer:
            await answer.content.readany()
            await stream.next("readings")
            under_way = (await stream.next("readings")).data
        async with asyncio.timeout(10):
            while (over := (await stream.next("readings")).data)["total"]["in_flight"]:
                pass

    assert [(each["model"], each["in_flight"]) for each in under_way["routes"]] == [("fast", 1)]
    assert [(each["model_id"], each["in_flight"]) for each in under_way["endpoints"]] == [("b", 1)]
    assert under_way["total"]["in_flight"] == 1
    assert all(each["in_flight"] == 0 for each in over["routes"] + over["endpoints"])


@pytest.mark.usefixtures("quick")
async def test_requests_are_told_if_wanted(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """Those that match, the newest of each moment, and how many more there were; by default none."""
    async with listening(http, proxy, kinds="requests", failed="true") as stream:
        assert await ask(http, proxy) == 200
        first = [await ask(http, proxy, "none") for _ in range(3)]
        told: list[Any] = []
        while len(told) < len(first):
            told = (await stream.next("requests")).data["requests"] + told

    assert [each["status"] for each in told] == [404, 404, 404]
    async with listening(http, proxy) as stream:
        assert await ask(http, proxy) == 200
        assert (await stream.next("readings", "requests")).kind == "readings"
        assert (await stream.next("readings", "requests")).kind == "readings"


@pytest.mark.usefixtures("quick")
async def test_many_requests_are_told_of_in_part(
    proxy: Proxy, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page is not flooded."""
    monkeypatch.setattr(feed, "REQUESTS_AT_ONCE", 2)
    monkeypatch.setattr(feed, "EVERY_S", 0.5)
    async with listening(http, proxy, kinds="requests") as stream:
        await asyncio.gather(*(ask(http, proxy) for _ in range(20)))
        shown = left_out = 0
        while shown + left_out < 20:
            told = (await stream.next("requests")).data
            assert len(told["requests"]) <= 2
            shown, left_out = shown + len(told["requests"]), left_out + told["left_out"]

    assert shown + left_out == 20
    assert left_out >= 14


async def test_a_stream_goes_on_where_it_broke_off(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """Nothing is missed, nothing comes twice."""
    async with listening(http, proxy) as stream:
        hello = await stream.next()
        swap(proxy, "one")
        one = await stream.next("change")
    for model in ("two", "three"):
        swap(proxy, model)

    for after, missed in ((hello.id, ["one", "two", "three"]), (one.id, ["two", "three"])):
        async with listening(http, proxy, after) as stream:
            again = await stream.next()
            told = [await stream.next("change") for _ in missed]
            swap(proxy, "now")
            now = await stream.next("change")
        assert (again.kind, again.id) == ("hello", after)
        assert [each.data["routes"][0]["model"] for each in (*told, now)] == [*missed, "now"]
        proxy.table.remove_route("now")
    async with listening(http, proxy, last_event_id=one.id) as stream:
        assert (await stream.next("change")).data["routes"][0]["model"] == "two"


async def test_who_missed_too_much_begins_anew(
    make_proxy: MakeProxy, proxy: Proxy, http: aiohttp.ClientSession
) -> None:
    """What isn't kept any more, what another process said, and what nobody ever said."""
    async with listening(http, proxy) as stream:
        old = (await stream.next()).id
    for number in range(1001):
        swap(proxy, model_id=f"{number}")
    other = await make_proxy()
    async with listening(http, other) as stream:
        foreign = (await stream.next()).id

    for after in (old, foreign, "made-up", old.partition("-")[0] + "-99999999"):
        async with listening(http, proxy, after) as stream:
            reset = await stream.next()
            assert (reset.kind, reset.data) == ("reset", {"revision": 1001})
        async with listening(http, proxy, reset.id) as stream:
            assert (await stream.next()).kind == "hello"


def stuck_client(proxy: Proxy) -> socket.socket:
    """A client that asks for events and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((proxy.address.host, proxy.address.port))
    client.sendall(b"GET /admin/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client


async def until_stuck(proxy: Proxy) -> None:
    """Tell so much that a client that reads nothing is waited for."""
    long = "x" * 500
    stuck = 0
    async with asyncio.timeout(20):
        while not stuck:
            for number in range(50):
                endpoints = [RouteEndpoint("straw", f"{long}{number}-{each}") for each in range(10)]
                proxy.table.add_route(DynamicRoute("fast", endpoints))
            await asyncio.sleep(0)
            stuck = sum(each._patience is not None for each in proxy._telemetry.feed._listeners)


async def test_a_slow_listener_is_cut_and_the_others_are_not(
    proxy: Proxy, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds up nobody, costs no more than what is kept anyway, and can come back."""
    monkeypatch.setattr(feed, "_WRITE_S", 0.2)
    with stuck_client(proxy) as client:
        async with listening(http, proxy, kinds="alarm") as stream:
            await stream.next()
            await until_stuck(proxy)
            async with asyncio.timeout(10):
                while len(proxy._telemetry.feed._listeners) > 1:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.01)
            proxy._attempts.alarms.ring("something", "has happened")
            assert (await stream.next()).data["subject"] == "something"
        client.settimeout(10)
        received = await asyncio.to_thread(_read_all, client)
    last_id = received.rpartition(b"\nid: ")[2].partition(b"\n")[0].decode()

    assert b"\r\n0\r\n\r\n" not in received[-16:]  # cut, not ended
    async with listening(http, proxy, last_id) as stream:
        assert (await stream.next()).kind in {"hello", "reset"}


def _read_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


async def test_there_is_a_limit_to_listeners(
    proxy: Proxy, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes too much is told so; a place is free again once somebody has gone."""
    monkeypatch.setattr(feed, "MOST_LISTENERS", 2)
    async with listening(http, proxy) as first:
        await first.next()
        async with listening(http, proxy), http.get(url(proxy, "/admin/events")) as refused:
            assert refused.status == 503
            assert "2 listen already" in (await refused.json())["error"]["message"]
        async with asyncio.timeout(10):
            while True:
                async with http.get(url(proxy, "/admin/events")) as answer:
                    if answer.status == 200:
                        break


async def test_the_traffic_is_read_only_while_somebody_listens(
    proxy: Proxy, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody, or somebody who wants no readings, costs nothing."""
    monkeypatch.setattr(feed, "EVERY_S", 0.01)
    told = proxy._telemetry.feed
    async with listening(http, proxy, kinds="change") as stream:
        await stream.next()
        assert not told._is_read.is_set()
        async with listening(http, proxy) as other:
            await other.next("readings")
            assert told._is_read.is_set()
        async with asyncio.timeout(10):
            while told._is_read.is_set():  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)


async def test_silence_is_filled(proxy: Proxy, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment now and then tells that the connection is alive."""
    monkeypatch.setattr(feed, "HEARTBEAT_S", 0.02)
    async with http.get(url(proxy, "/admin/events?kinds=alarm")) as answer:
        async with asyncio.timeout(10):
            while (await answer.content.readline()) != b": nothing new\n":
                pass


async def test_a_stream_ends_so_that_who_listens_is_asked_again(
    proxy: Proxy, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is a proper one, after which the next stream goes on."""
    monkeypatch.setattr(feed, "LONGEST_S", 0.05)
    monkeypatch.setattr(feed, "HEARTBEAT_S", 0.02)
    async with listening(http, proxy, kinds="change") as stream:
        hello = await stream.next()
        assert (await stream.rest()).replace(b": nothing new\n\n", b"") == b""
    swap(proxy)
    async with listening(http, proxy, hello.id) as stream:
        assert (await stream.next("change")).data["revision"] == 1


async def test_a_head_request_is_over_at_once(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """It has no body to wait for."""
    async with asyncio.timeout(5), http.head(url(proxy, "/admin/events")) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"


@pytest.mark.parametrize("has_listener", [False, True], ids=["mounted", "own listener"])
async def test_a_stop_ends_every_stream_at_once(
    make_straw: MakeStraw, http: aiohttp.ClientSession, *, has_listener: bool
) -> None:
    """A stream that would never end by itself, and one of a client that takes nothing, hold no stop up."""
    sections = {
        "server": {"listen": "127.0.0.1:0", "shutdown_grace_s": 30, "shutdown_idle_s": 0},
        "providers": {"straw": provider_section(await make_straw())},
    }
    if has_listener:
        sections["admin"] = {"listen": "127.0.0.1:0"}
    async with Proxy(settings_from(sections)) as proxy, listening(http, proxy, kinds="alarm") as stream:
        await stream.next()
        stuck = None
        if not has_listener:
            stuck = stuck_client(proxy)
            await until_stuck(proxy)
        began = time.monotonic()
        await proxy.__aexit__(None, None, None)
        assert time.monotonic() - began < 5
        assert await stream.rest() == b""
        if stuck is not None:
            stuck.close()


@pytest.mark.parametrize("query", ["kinds=", "kinds=all", "kind=change", "status=x"])
async def test_a_wish_that_makes_no_sense_is_refused(proxy: Proxy, http: aiohttp.ClientSession, query: str) -> None:
    """Rather than that something else is told."""
    async with http.get(url(proxy, f"/admin/events?{query}")) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["message"]
