"""How each strategy chooses, and what it does when endpoints are out of service."""

import asyncio
from collections import Counter
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import settings_from
from proxy.config.settings import Delivery, Endpoint, Model, RouteOptions
from proxy.routing import (
    Affinity,
    ConfigRoutingTable,
    DynamicRoute,
    DynamicRoutingTable,
    Resolution,
    RouteEndpoint,
    RouteSource,
    RouteStrategy,
    RouteView,
    RoutingTarget,
)
from tests.routing.test_rules import ThirdPartyTable


class Conditions:
    """Endpoints of which some are down, with the loads that a test sets."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.loads: dict[str, float] = {}

    @property
    def all_usable(self) -> bool:
        """Whether none is down."""
        return not self.down

    def is_usable(self, target: RoutingTarget) -> bool:
        """Whether it is up."""
        return target.model_id not in self.down

    def load_s(self, target: RoutingTarget) -> float:
        """As set."""
        return self.loads.get(target.model_id, 0.0)


def table_of(strategy: RouteStrategy, weights: dict[str, int], conditions: Conditions) -> DynamicRoutingTable:
    """A table with the route `m` over endpoints of one provider."""
    table = DynamicRoutingTable(ThirdPartyTable(), conditions=conditions)
    endpoints = [RouteEndpoint("p", model_id, weight) for model_id, weight in weights.items()]
    table.add_route(DynamicRoute("m", endpoints, strategy))
    return table


async def chosen(table: DynamicRoutingTable, times: int, affinity: Affinity | None = None) -> list[str]:
    """The model ids of so many resolutions."""
    return [(await table.resolve("m", affinity)).target.model_id for _ in range(times)]


def key_of(key: str) -> Affinity:
    """A request with this key."""
    return lambda _: key


async def test_turns_of_who_is_down_go_round() -> None:
    """One that is out of service doesn't double its neighbour's load; back again, all have their turns."""
    conditions = Conditions()
    table = table_of(RouteStrategy.LOAD_BALANCE, dict.fromkeys("abc", 1), conditions)
    conditions.down = {"a"}

    assert Counter(await chosen(table, 12)) == {"b": 6, "c": 6}

    conditions.down = set("abc")
    assert set(await chosen(table, 6)) == set("abc")
    conditions.down = set()
    assert Counter(await chosen(table, 9)) == {"a": 3, "b": 3, "c": 3}


@given(weights=st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_weighted_is_exact_over_each_cycle(weights: list[int]) -> None:
    """Each endpoint has exactly its weight's share of each cycle, and no endpoint all of it at a stretch."""
    named = {f"e{index}": weight for index, weight in enumerate(weights)}
    table = table_of(RouteStrategy.WEIGHTED, named, Conditions())
    divisor = gcd(*weights)
    cycle = sum(weights) // divisor

    for _ in range(2):
        assert Counter(asyncio.run(chosen(table, cycle))) == {name: weight // divisor for name, weight in named.items()}


async def test_weighted_is_smooth() -> None:
    """The heavy endpoint's turns are spread, as nginx does it."""
    table = table_of(RouteStrategy.WEIGHTED, {"a": 5, "b": 1, "c": 1}, Conditions())

    assert "".join(await chosen(table, 7)) == "aabacaa"


async def test_weighted_without_one_keeps_the_others_shares() -> None:
    """Who is out of service leaves the others' proportions as they were."""
    conditions = Conditions()
    table = table_of(RouteStrategy.WEIGHTED, {"a": 5, "b": 2, "c": 1}, conditions)
    conditions.down = {"a"}

    assert Counter(await chosen(table, 30)) == {"b": 20, "c": 10}


async def test_least_latency_never_takes_the_worst() -> None:
    """Of two by chance the better one: the worst of three is chosen never, the best most."""
    conditions = Conditions()
    conditions.loads = {"a": 0.1, "b": 0.2, "c": 0.3}
    table = table_of(RouteStrategy.LEAST_LATENCY, dict.fromkeys("abc", 1), conditions)

    counts = Counter(await chosen(table, 300))
    assert counts["a"] > counts["b"] > counts["c"] == 0

    conditions.down = {"a"}
    assert set(await chosen(table, 20)) == {"b"}
    resolution = await table.resolve("m")
    assert [each.model_id for each in resolution.fallbacks] == ["a", "c"]


@given(keys=st.sets(st.text(min_size=1), min_size=1, max_size=30), gone=st.sampled_from("abcd"))
def test_sticky_moves_only_the_keys_of_who_left(keys: set[str], gone: str) -> None:
    """The same key goes to the same endpoint, wherever it stands in the list; an endpoint that leaves moves its own."""
    before = table_of(RouteStrategy.STICKY, dict.fromkeys("abcd", 1), Conditions())
    after = table_of(RouteStrategy.STICKY, dict.fromkeys("dcba".replace(gone, ""), 1), Conditions())

    for key in keys:
        (was,) = asyncio.run(chosen(before, 1, key_of(key)))
        (now,) = asyncio.run(chosen(after, 1, key_of(key)))
        assert was in {now, gone}


async def test_sticky_spreads_by_weight_and_without_keys_in_turn() -> None:
    """Many keys come out by weight; requests that belong to nothing take turns."""
    table = table_of(RouteStrategy.STICKY, {"a": 3, "b": 1}, Conditions())
    counts = Counter([(await chosen(table, 1, key_of(str(number))))[0] for number in range(2000)])

    assert 1350 < counts["a"] < 1650
    assert await chosen(table, 4, key_of("")) == ["a", "b", "a", "b"]


@pytest.mark.parametrize("strategy", RouteStrategy)
async def test_every_strategy_keeps_all_as_fallbacks(strategy: RouteStrategy) -> None:
    """Whatever is chosen, the others stand behind it."""
    table = table_of(strategy, dict.fromkeys("abcd", 1), Conditions())
    for _ in range(10):
        resolution = await table.resolve("m", key_of("key"))
        assert {each.model_id for each in (resolution.target, *resolution.fallbacks)} == set("abcd")
        assert len(resolution.fallbacks) == 3


async def test_sticky_passes_on_in_the_keys_own_order() -> None:
    """The fallbacks of a key are where it would go if the ones before had left."""
    everyone = table_of(RouteStrategy.STICKY, dict.fromkeys("abcd", 1), Conditions())
    for number in range(20):
        resolution = await everyone.resolve("m", key_of(str(number)))
        order = [each.model_id for each in (resolution.target, *resolution.fallbacks)]
        for left in range(1, 4):
            fewer = table_of(RouteStrategy.STICKY, dict.fromkeys(order[left:], 1), Conditions())
            assert await chosen(fewer, 1, key_of(str(number))) == [order[left]]


async def test_sticky_asks_for_the_routes_header_and_others_for_nothing() -> None:
    """The affinity is told which header the route goes by; no other strategy costs a look into the request."""
    asked: list[str | None] = []

    def affinity(header: str | None) -> str:
        asked.append(header)
        return "key"

    table = DynamicRoutingTable(ThirdPartyTable())
    endpoints = [RouteEndpoint("p", "a"), RouteEndpoint("p", "b")]
    for strategy in RouteStrategy:
        for header in (None, "X-Session"):
            table.add_route(DynamicRoute("m", endpoints, strategy, RouteOptions(sticky_header=header)))
            resolution = await DynamicRoutingTable(table).resolve("m", affinity)
            assert resolution.options.sticky_header == header

    assert asked == [None, "X-Session"]


async def test_a_table_from_outside_is_asked_by_the_model_alone() -> None:
    """A described table whose `resolve` knows nothing of affinities serves below ours."""

    class Described(ThirdPartyTable):
        async def resolve(self, model: str) -> Resolution:
            return Resolution(await self.route(model), (), RouteSource.CONFIG, 0)

        def describe(self, model: str) -> RouteView | None:
            return None

        def describe_routes(self) -> list[RouteView]:
            return []

        def protocol_of(self, provider: str) -> str | None:
            return None

        def accepts_provider(self, provider: str) -> bool:
            return True

    table = DynamicRoutingTable(Described())
    assert (await table.resolve("default", key_of("key"))).target == RoutingTarget("openai", "gpt-4o")


async def test_a_reload_puts_new_options_in_force() -> None:
    """A config route goes on where it was only if its options are the same too."""
    providers = settings_from({"providers": {"openai": {}}}).providers
    endpoints = (Endpoint("openai", "a"), Endpoint("openai", "b"))

    def model(options: RouteOptions) -> dict[str, Model]:
        return {"m": Model(endpoints, RouteStrategy.LOAD_BALANCE, options)}

    before = ConfigRoutingTable(providers, model(RouteOptions()))
    assert (await before.resolve("m")).target.model_id == "a"
    same = ConfigRoutingTable(providers, model(RouteOptions()), before)
    changed = ConfigRoutingTable(providers, model(RouteOptions(delivery=Delivery.WHOLE)), before)

    assert (await same.resolve("m")).target.model_id == "b"
    assert (await changed.resolve("m")).options.delivery is Delivery.WHOLE


@given(weights=st.lists(st.integers(1, 30), min_size=2, max_size=5))
def test_weighted_never_strays_far(weights: list[int]) -> None:
    """At any point of a cycle an endpoint has had its share so far, give or take the number of endpoints."""
    named = {f"e{index}": weight for index, weight in enumerate(weights)}
    turns = asyncio.run(chosen(table_of(RouteStrategy.WEIGHTED, named, Conditions()), sum(weights)))

    for name, weight in named.items():
        for taken in range(1, len(turns) + 1):
            assert abs(turns[:taken].count(name) - taken * weight / sum(weights)) < len(weights)
