"""A route takes over from another bit by bit."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.settings import Delivery, EndpointOverrides, RouteOptions
from proxy.errors import InvalidRequestError
from proxy.routing import (
    Affinity,
    ConfigRoutingTable,
    Draft,
    DynamicRoute,
    DynamicRoutingTable,
    Resolution,
    RouteEndpoint,
    RouteStrategy,
    Shift,
    compared,
    resumed,
    shifted,
    stepped,
    taken_back,
)
from proxy.routing.changes import Action, Cause

PROVIDERS = {name: {"base_url": f"http://{name}/v1"} for name in ("old", "new", "both")}
BOTH = RouteEndpoint("both", "b")
OLD = DynamicRoute("m", [RouteEndpoint("old", "a"), BOTH])
NEW = DynamicRoute("m", [RouteEndpoint("new", "a"), BOTH], options=RouteOptions(delivery=Delivery.WHOLE))


def shift(
    to: DynamicRoute = NEW, old: DynamicRoute = OLD, steps: tuple[float, ...] = (5, 100), **more: object
) -> Shift:
    return Shift(to=to, old=old, over_config=False, steps=steps, every_s=60, **more)  # type: ignore[arg-type]


def table(route: DynamicRoute, models: dict[str, object] | None = None) -> DynamicRoutingTable:
    table = DynamicRoutingTable(ConfigRoutingTable(PROVIDERS, models or {}))  # type: ignore[arg-type]
    table.add_route(route)
    return table


def resolutions(table: DynamicRoutingTable, count: int, affinity: Affinity | None = None) -> list[Resolution]:
    async def resolve() -> list[Resolution]:
        return [await table.resolve("m", affinity) for _ in range(count)]

    return asyncio.run(resolve())


def is_new(resolution: Resolution) -> bool:
    return resolution.target.provider_name == "new"


@given(st.integers(1, 9_999), st.integers(1, 400))
def test_the_share_is_exact_at_every_moment(parts: int, count: int) -> None:
    """Of the first `n` requests, whatever `n` is, the new route has had its share, rounded down."""
    share = parts / 100
    new = 0
    for n, each in enumerate(resolutions(table(shifted(shift(steps=(share, 100)))), count), 1):
        new += is_new(each)
        assert new == n * parts // 10_000


def test_each_side_is_the_route_itself() -> None:
    """The new one has its own fallbacks and then the old one's endpoints, each once; options are the side's."""
    found = resolutions(table(shifted(shift(steps=(50, 100)))), 2)
    old, new = found

    assert [each.provider_name for each in (old.target, *old.fallbacks)] == ["old", "both"]
    assert [each.provider_name for each in (new.target, *new.fallbacks)] == ["new", "both", "old"]
    assert (old.options.delivery, new.options.delivery) == (Delivery.LIVE, Delivery.WHOLE)


def test_strategies_go_on_within_a_side() -> None:
    endpoints = [RouteEndpoint("new", "a"), RouteEndpoint("both", "b")]
    to = DynamicRoute("m", endpoints, RouteStrategy.LOAD_BALANCE)
    found = resolutions(table(shifted(shift(to, steps=(50, 100)))), 40)

    assert Counter(each.target.provider_name for each in found) == {"old": 20, "new": 10, "both": 10}


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.lists(st.floats(0.01, 99.9), min_size=2, max_size=4))
def test_a_key_stays_on_the_new_side_as_the_share_grows(keys: list[str], shares: list[float]) -> None:
    to = DynamicRoute("m", [RouteEndpoint("new", "a")], RouteStrategy.STICKY)
    steps = (*sorted(shares), 100)
    moved: set[str] = set()
    for step in range(len(shares)):
        at_step = table(shifted(shift(to, steps=steps, step=step)))
        now = {key for key in keys if is_new(resolutions(at_step, 1, lambda _, key=key: key)[0])}  # type: ignore[misc]
        assert moved <= now
        moved = now


def test_keys_shift_by_their_share() -> None:
    to = DynamicRoute("m", [RouteEndpoint("new", "a")], RouteStrategy.STICKY)
    at_step = table(shifted(shift(to, steps=(25, 100))))
    new = sum(is_new(resolutions(at_step, 1, lambda _, n=n: f"user-{n}")[0]) for n in range(4_000))  # type: ignore[misc]

    assert 900 < new < 1100
    assert sum(map(is_new, resolutions(at_step, 100, lambda _: ""))) == 25


def test_the_old_side_is_the_config_route_with_all_that_the_file_says() -> None:
    models = {"m": {"endpoints": [{"provider": "old", "model_id": "a", "headers": {"X-Tier": "gold"}}]}}
    over = Shift(to=NEW, old=DynamicRoute("m", [OLD.endpoints[0]]), over_config=True, steps=(5, 100), every_s=1)
    (found,) = resolutions(table(shifted(over), models), 1)  # type: ignore[arg-type]

    assert isinstance(found.target.overrides, EndpointOverrides)
    assert found.target.overrides.headers[0][0] == "X-Tier"


def test_the_way_of_a_shift() -> None:
    """At its last step it is the new route, plain; taken back, it is the old one, or none over the config file's."""
    begun = shift(steps=(5, 25, 100), next_at=60.0)
    second = stepped(begun, 61)

    assert (second.share, second.next_at) == (25, 121)
    assert shifted(stepped(second, 130)) == NEW
    assert taken_back(begun) == OLD
    assert taken_back(Shift(to=NEW, old=OLD, over_config=True, steps=(5, 100), every_s=1)) is None
    assert resumed(begun, 500).next_at == 560
    new, old = compared(begun)
    assert [[each.provider for each in side] for side in (new, old)] == [["new"], ["old"]]


def test_the_table_knows_what_shifts() -> None:
    """Everything that either side leads to is the route's while it shifts; who swaps it ends the shift."""
    route = shifted(shift(next_at=60.0))
    shifting = table(route)

    assert [each.provider for each in shifting.list_dynamic_routes()[0].endpoints] == ["new", "both", "old"]
    assert shifting.shifting() == [route]
    assert [model for model, _ in shifting.leading_to("old")] == ["m"]
    shifting.add_route(NEW)
    assert shifting.shifting() == []
    assert not any(resolution.options.delivery is Delivery.LIVE for resolution in resolutions(shifting, 30))


def test_who_goes_back_to_a_shift_finds_it_paused() -> None:
    shifting = table(shifted(shift(next_at=60.0)))
    shifting.apply(Draft.setting([NEW]), Cause(Action.SET))
    (back,) = shifting.history.way_back_to(1).routes.values()

    assert back is not None
    assert back.standing().shift == shift(next_at=None)


@pytest.mark.parametrize("side", ["to", "old"])
def test_neither_side_may_lead_nowhere(side: str) -> None:
    gone = DynamicRoute("m", [RouteEndpoint("gone", "a")])
    with pytest.raises(InvalidRequestError, match="no provider `gone`"):
        table(shifted(shift(**{side: gone})))  # type: ignore[arg-type]
