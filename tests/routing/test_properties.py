"""Laws of the routing table, for any routes and any order of changes."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidRequestError
from proxy.routing import (
    DynamicRoute,
    DynamicRoutingTable,
    RouteEndpoint,
    RouteEntry,
    RouteStrategy,
    RoutingTarget,
)
from proxy.routing.names import neighbours

MODELS = st.sampled_from(["a", "b", "c", "config/1", "config/2", "ü"])
ENDPOINTS = st.lists(st.builds(RouteEndpoint, st.sampled_from(["p", "q"]), st.text(min_size=1)), max_size=4)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), MODELS, ENDPOINTS, st.sampled_from(RouteStrategy)),
        st.tuples(st.just("remove"), MODELS, st.just([]), st.just(RouteStrategy.PRIORITY)),
    ),
    max_size=30,
)


class InnerTable:
    """Two config routes, from outside the room."""

    async def route(self, model: str) -> RoutingTarget:
        if not model.startswith("config/"):
            raise InvalidRequestError("unknown")
        return RoutingTarget("inner", model)

    def list_routes(self) -> list[RouteEntry]:
        return [RouteEntry("config/1", "inner", "openai"), RouteEntry("config/2", "inner", "openai")]


@given(CHANGES)
def test_any_changes_leave_what_a_dictionary_would(
    changes: list[tuple[str, str, list[RouteEndpoint], RouteStrategy]],
) -> None:
    """After any changes the lists, the routing and the revision are those of a plain dictionary of routes."""
    table = DynamicRoutingTable(InnerTable())
    expected: dict[str, list[RouteEndpoint]] = {}
    accepted = 0
    for kind, model, endpoints, strategy in changes:
        if kind == "remove":
            was_there = expected.pop(model, None) is not None
            assert table.remove_route(model) is was_there
            accepted += was_there
        elif endpoints:
            table.add_route(DynamicRoute(model, endpoints, strategy))
            expected[model] = endpoints
            accepted += 1
        else:
            with pytest.raises(InvalidRequestError):
                table.add_route(DynamicRoute(model, endpoints, strategy))

    assert table.revision == accepted
    merged = {"config/1": "inner", "config/2": "inner"} | {m: e[0].provider for m, e in expected.items()}
    assert [(entry.model, entry.provider) for entry in table.list_routes()] == sorted(merged.items())
    assert {route.model: route.endpoints for route in table.list_dynamic_routes()} == expected
    for model, endpoints in expected.items():
        assert asyncio.run(table.route(model)) == RoutingTarget(endpoints[0].provider, endpoints[0].model_id)


@given(size=st.integers(1, 12), rounds=st.integers(1, 5))
def test_round_robin_is_exactly_fair(size: int, rounds: int) -> None:
    """Over k·n resolutions each of n endpoints is chosen k times, in order, the others being its fallbacks."""
    table = DynamicRoutingTable(InnerTable())
    endpoints = [RouteEndpoint("p", str(number)) for number in range(size)]
    table.add_route(DynamicRoute("m", endpoints, RouteStrategy.LOAD_BALANCE))

    async def resolve_all() -> list[list[int]]:
        resolutions = [await table.resolve("m") for _ in range(rounds * size)]
        return [[int(t.model_id) for t in (r.target, *r.fallbacks)] for r in resolutions]

    orders = asyncio.run(resolve_all())
    assert Counter(order[0] for order in orders) == dict.fromkeys(range(size), rounds)
    for turn, order in enumerate(orders):
        assert order == [(turn + step) % size for step in range(size)]


@given(st.lists(st.text(max_size=6), max_size=3), st.integers(0, 2000), st.text(max_size=6))
def test_neighbours_are_few_and_near(extra: list[str], size: int, name: str) -> None:
    """However many names there are, few are compared, and the one that would stand there is among them."""
    names = sorted({*extra, *(f"model-{number:05}" for number in range(size))})
    found = neighbours(name, names)

    assert len(found) <= 400
    assert name not in names or name in found
    assert list(found) == sorted(found)
