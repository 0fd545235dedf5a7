"""Laws of the routing table, for any routes and any order of changes."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.errors import InvalidRequestError
from proxy.routing import (
    DynamicRoute,
    DynamicRoutingTable,
    Resolution,
    RouteEndpoint,
    RouteEntry,
    RouteSource,
    RouteStrategy,
    RoutingTarget,
)
from proxy.routing.names import neighbours

# A few letters: all of Unicode would first have to be tabulated, which takes a fresh checkout a second.
TEXT = st.text("amo-:/5ü€", max_size=6)
MANY_NAMES = [f"model-{number:05}" for number in range(100_000)]
MODELS = st.sampled_from(["a", "b", "c", "config/1", "config/2", "ü"])
ENDPOINTS = st.lists(
    st.builds(RouteEndpoint, st.sampled_from(["p", "q"]), TEXT.filter(bool), st.integers(1, 9)),
    min_size=1,
    max_size=4,
)

# What the others choose depends on more than their turn.
PREDICTABLE = [RouteStrategy.PRIORITY, RouteStrategy.LOAD_BALANCE]


class InnerTable:
    """Two config routes, from outside the room."""

    async def route(self, model: str) -> RoutingTarget:
        if not model.startswith("config/"):
            raise InvalidRequestError("unknown")
        return RoutingTarget("inner", model)

    def list_routes(self) -> list[RouteEntry]:
        return [RouteEntry("config/1", "inner", "openai"), RouteEntry("config/2", "inner", "openai")]


def targets_of(endpoints: list[RouteEndpoint]) -> list[RoutingTarget]:
    return [RoutingTarget(endpoint.provider, endpoint.model_id) for endpoint in endpoints]


def order_of(resolution: Resolution) -> tuple[RoutingTarget, ...]:
    """The targets in the order in which they would be tried."""
    return (resolution.target, *resolution.fallbacks)


class TableBesideDictionary(RuleBasedStateMachine):
    """After any changes and resolutions the table answers as a plain dictionary of routes does."""

    def __init__(self) -> None:
        super().__init__()
        self.table = DynamicRoutingTable(InnerTable())
        self.routes: dict[str, DynamicRoute] = {}
        self.turns: Counter[str] = Counter()
        self.accepted = 0

    @rule(model=MODELS, endpoints=ENDPOINTS, strategy=st.sampled_from(PREDICTABLE))
    def add(self, model: str, endpoints: list[RouteEndpoint], strategy: RouteStrategy) -> None:
        self.table.add_route(DynamicRoute(model, endpoints, strategy))
        self.routes[model] = DynamicRoute(model, endpoints, strategy)
        self.turns[model] = 0
        self.accepted += 1

    @rule(model=MODELS, strategy=st.sampled_from(RouteStrategy))
    def add_refused(self, model: str, strategy: RouteStrategy) -> None:
        with pytest.raises(InvalidRequestError):
            self.table.add_route(DynamicRoute(model, [], strategy))

    @rule(model=MODELS)
    def remove(self, model: str) -> None:
        was_there = self.routes.pop(model, None) is not None
        assert self.table.remove_route(model) is was_there
        self.accepted += was_there

    @rule(model=MODELS)
    def resolve(self, model: str) -> None:
        if (route := self.routes.get(model)) is not None:
            targets = targets_of(route.endpoints)
            if route.strategy is RouteStrategy.LOAD_BALANCE:
                turn = self.turns[model] % len(targets)
                self.turns[model] += 1
                targets = targets[turn:] + targets[:turn]
            expected = Resolution(
                targets[0], tuple(targets[1:]), RouteSource.DYNAMIC, self.accepted, strategy=route.strategy
            )
        elif model.startswith("config/"):
            expected = Resolution(RoutingTarget("inner", model), (), RouteSource.CONFIG, self.accepted)
        else:
            with pytest.raises(InvalidRequestError):
                asyncio.run(self.table.resolve(model))
            return
        assert asyncio.run(self.table.resolve(model)) == expected

    @invariant()
    def lists_and_revision_agree(self) -> None:
        firsts = {model: route.endpoints[0].provider for model, route in self.routes.items()}
        merged = {"config/1": "inner", "config/2": "inner"} | firsts

        assert [(entry.model, entry.provider) for entry in self.table.list_routes()] == sorted(merged.items())
        assert self.table.list_dynamic_routes() == [route for _, route in sorted(self.routes.items())]
        assert self.table.revision == self.accepted

    @invariant()
    def what_is_settled_would_be_resolved(self) -> None:
        for model, settled in self.table.settled.items():
            assert settled.strategy is RouteStrategy.PRIORITY
            assert asyncio.run(self.table.resolve(model)) == settled


TestTableBesideDictionary = TableBesideDictionary.TestCase
TestTableBesideDictionary.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@settings(deadline=None)  # a busy machine is no fault of the table
@given(size=st.integers(1, 12), rounds=st.integers(1, 5))
def test_round_robin_is_exactly_fair(size: int, rounds: int) -> None:
    """Over k·n resolutions each of n endpoints is chosen k times, in order, the others being its fallbacks."""
    table = DynamicRoutingTable(InnerTable())
    endpoints = [RouteEndpoint("p", str(number)) for number in range(size)]
    table.add_route(DynamicRoute("m", endpoints, RouteStrategy.LOAD_BALANCE))

    async def resolve_all() -> list[list[int]]:
        resolutions = [await table.resolve("m") for _ in range(rounds * size)]
        return [[int(target.model_id) for target in order_of(resolution)] for resolution in resolutions]

    orders = asyncio.run(resolve_all())
    assert Counter(order[0] for order in orders) == dict.fromkeys(range(size), rounds)
    for turn, order in enumerate(orders):
        assert order == [(turn + step) % size for step in range(size)]


@pytest.fixture
def frequent_thread_switches() -> Iterator[None]:
    """Threads take turns every few bytecodes instead of every 5 ms, so that a race shows in a short run."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual_s)


@pytest.mark.usefixtures("frequent_thread_switches")
def test_rule_08_a_resolution_is_of_the_old_route_or_the_new_one() -> None:
    """Event loops that resolve in threads of their own while others swap see one route, whole and in its order."""
    old = [RouteEndpoint("old", str(number)) for number in range(3)]
    new = [RouteEndpoint("new", str(number)) for number in range(5)]
    table = DynamicRoutingTable(InnerTable())
    table.add_route(DynamicRoute("m", old, RouteStrategy.LOAD_BALANCE))
    resolving, swapping = 3, 2
    start, done = Barrier(resolving + swapping, timeout=10), Event()

    async def resolve() -> set[tuple[RoutingTarget, ...]]:
        """At least 2,000 times, and until both routes have been in force."""
        seen: set[tuple[RoutingTarget, ...]] = set()
        start.wait()
        for number in range(2_000_000):
            seen.add(order_of(await table.resolve("m")))
            if number >= 2000 and {order[0].provider_name for order in seen} == {"old", "new"}:
                return seen
        pytest.fail("Only one of the two routes was ever in force.")

    def swap() -> int:
        swaps = 0
        start.wait()
        while not done.is_set():
            table.add_route(DynamicRoute("m", old if swaps % 2 else new, RouteStrategy.LOAD_BALANCE))
            swaps += 1
        return swaps

    with ThreadPoolExecutor(resolving + swapping) as threads:
        resolvers = [threads.submit(lambda: asyncio.run(resolve())) for _ in range(resolving)]
        swappers = [threads.submit(swap) for _ in range(swapping)]
        try:
            seen = set().union(*(resolver.result() for resolver in resolvers))
        finally:
            done.set()
        accepted = sum(swapper.result() for swapper in swappers)

    whole = {
        tuple(targets[turn:] + targets[:turn])
        for targets in (targets_of(old), targets_of(new))
        for turn in range(len(targets))
    }
    assert seen <= whole
    assert table.revision == 1 + accepted


@pytest.mark.usefixtures("frequent_thread_switches")
def test_round_robin_is_fair_among_threads() -> None:
    """Threads that resolve one route at the same time never get the same turn twice."""
    table = DynamicRoutingTable(InnerTable())
    endpoints = [RouteEndpoint("p", str(number)) for number in range(4)]
    table.add_route(DynamicRoute("m", endpoints, RouteStrategy.LOAD_BALANCE))
    threads, times = 4, 1000

    async def resolve() -> list[str]:
        return [(await table.route("m")).model_id for _ in range(times)]

    with ThreadPoolExecutor(threads) as pool:
        resolvers = [pool.submit(lambda: asyncio.run(resolve())) for _ in range(threads)]
        chosen = Counter(model_id for resolver in resolvers for model_id in resolver.result())

    assert chosen == {str(number): threads * times // 4 for number in range(4)}


@settings(deadline=None)  # making the list takes longer than looking into it
@given(st.lists(TEXT, max_size=3, unique=True), st.sampled_from([0, 399, 400, 2000, 100_000]), TEXT)
def test_neighbours_are_few_and_near(extra: list[str], size: int, name: str) -> None:
    """However many names there are, few are compared, and the one that would stand there is among them."""
    names = sorted(MANY_NAMES[:size] + extra)
    for asked in (name, *extra, *names[size // 2 :][:1]):
        found = neighbours(asked, names)

        assert len(found) <= 400
        assert (asked in found) is (asked in names)
        assert list(found) == sorted(found)
