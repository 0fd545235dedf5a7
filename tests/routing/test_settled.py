"""What a model always resolves to is kept until the table changes, and no longer."""

import asyncio

import pytest

from proxy.routing import (
    ConfigRoutingTable,
    Draft,
    Drain,
    DynamicRoute,
    DynamicRoutingTable,
    RouteEndpoint,
    Shift,
    shifted,
)
from proxy.routing.changes import Action, Cause

PROVIDERS = {name: {"base_url": f"http://{name}/v1"} for name in ("alpha", "beta")}
MODELS: dict[str, dict[str, object]] = {
    "fast": {"endpoints": [{"provider": "alpha", "model_id": "a"}, {"provider": "beta", "model_id": "b"}]},
    "spread": {
        "strategy": "load_balance",
        "endpoints": [{"provider": "alpha", "model_id": "a"}, {"provider": "beta", "model_id": "b"}],
    },
}
CAUSE = Cause(Action.SET)


@pytest.fixture
def table() -> DynamicRoutingTable:
    return DynamicRoutingTable(ConfigRoutingTable(PROVIDERS, MODELS))


def resolve(table: DynamicRoutingTable, model: str) -> str:
    """Where a request goes, by the way that requests take."""
    resolution = table.settled.get(model) or asyncio.run(table.resolve(model))
    return resolution.target.provider_name


def test_a_priority_route_settles_with_its_first_request(table: DynamicRoutingTable) -> None:
    assert [resolve(table, "fast") for _ in range(3)] == ["alpha"] * 3
    assert set(table.settled) == {"fast"}


def test_what_takes_turns_or_is_a_clients_own_choice_does_not_settle(table: DynamicRoutingTable) -> None:
    assert [resolve(table, "spread") for _ in range(3)] == ["alpha", "beta", "alpha"]
    assert resolve(table, "beta:anything") == "beta"
    assert not table.settled


def test_every_kind_of_change_ends_it(table: DynamicRoutingTable) -> None:
    """A swap, its way back, a drain, its way back, and a reload: the next request goes the new way."""
    assert resolve(table, "fast") == "alpha"
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "b")]))
    assert resolve(table, "fast") == "beta"
    table.remove_route("fast")
    assert resolve(table, "fast") == "alpha"
    table.apply(Draft({}, {"alpha": Drain("alpha")}), CAUSE)
    assert resolve(table, "fast") == "beta"
    table.apply(Draft({}, {"alpha": None}), CAUSE)
    assert resolve(table, "fast") == "alpha"
    table.replace_inner(ConfigRoutingTable(PROVIDERS, {"fast": {"endpoints": [{"provider": "beta", "model_id": "b"}]}}))
    assert resolve(table, "fast") == "beta"


def test_a_route_that_takes_over_bit_by_bit_does_not_settle(table: DynamicRoutingTable) -> None:
    old, new = (DynamicRoute("m", [RouteEndpoint(name, "a")]) for name in ("alpha", "beta"))
    table.add_route(shifted(Shift(to=new, old=old, over_config=False, steps=(50, 100), every_s=60)))
    assert sorted(resolve(table, "m") for _ in range(4)) == ["alpha", "alpha", "beta", "beta"]
    assert not table.settled


def test_only_so_many_settle() -> None:
    models = {f"m{number}": MODELS["fast"] for number in range(1100)}
    table = DynamicRoutingTable(ConfigRoutingTable(PROVIDERS, models))
    assert {resolve(table, model) for model in models} == {"alpha"}
    assert len(table.settled) == 1024
