"""Laws of changes: all or nothing, one revision each, and a way back to every revision that is remembered."""

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.errors import InvalidRequestError, ProviderDrainedError
from proxy.routing import (
    Action,
    Cause,
    Change,
    ConfigRoutingTable,
    Draft,
    Drain,
    Drains,
    DynamicRoute,
    DynamicRoutingTable,
    Expiry,
    ForgottenRevisionError,
    History,
    Resolution,
    RouteEdit,
    RouteEndpoint,
    RouteSource,
    RouteStrategy,
    RoutingTarget,
    StaleRevisionError,
)

PROVIDERS: Mapping[str, Mapping[str, object]] = {
    name: {"base_url": f"http://{name}.invalid/v1"} for name in ("p", "q", "r")
}
CAUSE = Cause(Action.BATCH, "somebody", "for a reason", 1.0)
MODELS = st.sampled_from(["a", "b", "c", "config"])
ROUTES = st.builds(
    lambda provider, model_id, at: DynamicRoute(
        "", [RouteEndpoint(provider, model_id)], expiry=None if at is None else Expiry(at)
    ),
    st.sampled_from(sorted(PROVIDERS)),
    st.sampled_from("xyz"),
    st.none() | st.floats(1, 9),
)
DRAINS = st.builds(Drain, st.just(""), st.booleans(), st.none() | st.floats(1, 9))
DRAFTS = st.builds(
    lambda routes, drains: Draft(
        {model: route and DynamicRoute(model, route.endpoints, expiry=route.expiry) for model, route in routes.items()},
        {name: drain and Drain(name, drain.is_forced, drain.expires_at) for name, drain in drains.items()},
    ),
    st.dictionaries(MODELS, st.none() | ROUTES, max_size=3),
    st.dictionaries(st.sampled_from(sorted(PROVIDERS)), st.none() | DRAINS, max_size=2),
)
State = tuple[list[DynamicRoute], dict[str, Drain]]


def state_of(table: DynamicRoutingTable) -> State:
    return table.list_dynamic_routes(), dict(sorted(table.drains.by_provider.items()))


def a_table() -> DynamicRoutingTable:
    model = {"endpoints": [{"provider": "p", "model_id": "from-config"}]}
    return DynamicRoutingTable(ConfigRoutingTable(PROVIDERS, {"config": model}))


class TimeTravel(RuleBasedStateMachine):
    """Whatever was changed, the way back to a revision leads to the state that it had."""

    def __init__(self) -> None:
        super().__init__()
        self.table = a_table()
        self.states: list[State] = [state_of(self.table)]
        self.told: list[Change] = []
        self.table.subscribe(self.told.append)

    @rule(draft=DRAFTS)
    def change(self, draft: Draft) -> None:
        expected = self.table.preview(draft, CAUSE)
        change = self.table.apply(draft, CAUSE)
        if change is None:
            assert not expected.size
        else:
            assert change == expected
            self.states.append(state_of(self.table))

    @rule(draft=DRAFTS, model=MODELS)
    def change_refused(self, draft: Draft, model: str) -> None:
        bad = Draft({**draft.routes, model: DynamicRoute(model, [RouteEndpoint("stranger", "m")])}, draft.drains)
        with pytest.raises(InvalidRequestError):
            self.table.apply(bad, CAUSE)
        with pytest.raises(StaleRevisionError):
            self.table.apply(draft, CAUSE, self.table.revision + 1)

    @rule()
    def reload(self) -> None:
        self.table.replace_inner(self.table.inner)
        self.states.append(state_of(self.table))

    @rule(model=MODELS, route=ROUTES)
    def change_directly(self, model: str, route: DynamicRoute) -> None:
        self.table.add_route(DynamicRoute(model, route.endpoints))
        # What the caller does with its record afterwards is nobody's business.
        route.endpoints.clear()
        self.states.append(state_of(self.table))

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(0, self.table.revision))
        change = self.table.apply(self.table.history.way_back_to(revision), CAUSE)
        if change is not None:
            self.states.append(state_of(self.table))
        assert state_of(self.table) == self.states[revision]

    @invariant()
    def every_revision_was_told_once(self) -> None:
        revisions = list(range(1, self.table.revision + 1))
        assert [change.revision for change in self.told] == revisions
        assert len(self.states) == self.table.revision + 1
        assert [change.revision for change in self.table.history.page(10_000)] == revisions[::-1]

    @invariant()
    def the_next_expiry_is_known(self) -> None:
        routes, drains = state_of(self.table)
        ends = [route.expiry.at for route in routes if route.expiry is not None]
        ends += [drain.expires_at for drain in drains.values() if drain.expires_at is not None]
        assert self.table.next_expiry() == min(ends, default=None)
        assert len(self.table.expired(5.0)) == sum(end <= 5.0 for end in ends)


TestTimeTravel = TimeTravel.TestCase
TestTimeTravel.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)


@given(
    edits=st.lists(st.integers(1, 5), min_size=1, max_size=30),
    most_changes=st.integers(1, 10),
    most_edits=st.integers(1, 20),
)
def test_a_history_is_bounded_and_says_how_far_it_reaches(edits: list[int], most_changes: int, most_edits: int) -> None:
    """However many changes of whatever size, only so many are kept, the newest among them; older ones can't be had."""
    history = History(most_changes, most_edits)
    for revision, size in enumerate(edits, 1):
        route = DynamicRoute("m", [RouteEndpoint("p", str(revision))])
        history.add(Change(revision, CAUSE, tuple(RouteEdit(f"m{n}", None, route) for n in range(size))))

    kept = history.page(1000)
    assert 1 <= len(kept) <= most_changes
    assert sum(change.size for change in kept) <= max(most_edits, kept[0].size)
    assert [change.revision for change in kept] == list(range(len(edits), len(edits) - len(kept), -1))
    oldest = history.oldest_revision
    assert oldest == kept[-1].revision - 1
    history.way_back_to(oldest)
    for revision in range(oldest):
        with pytest.raises(ForgottenRevisionError):
            history.way_back_to(revision)


def test_a_history_that_begins_knows_no_change() -> None:
    """Nothing to undo, and nothing to go back to."""
    history = History()

    assert (history.oldest_revision, history.page(10)) == (None, [])
    assert history.way_back_to(0) == Draft()
    with pytest.raises(ForgottenRevisionError):
        history.before_last_change_of("m")


@given(
    providers=st.lists(st.sampled_from("pqr"), min_size=1, max_size=5),
    drained=st.dictionaries(st.sampled_from("pqr"), st.booleans()),
)
def test_drained_providers_are_left_out(providers: list[str], drained: dict[str, bool]) -> None:
    """The others in their order; if there are none, those not drained by force; if there are none either, an error."""
    drains = Drains()
    drains.by_provider = {name: Drain(name, is_forced) for name, is_forced in drained.items()}
    targets = tuple(RoutingTarget(name, str(number)) for number, name in enumerate(providers))
    resolution = Resolution(targets[0], targets[1:], RouteSource.CONFIG, 7)

    well = [target for target in targets if target.provider_name not in drained]
    not_forced = [target for target in targets if not drained.get(target.provider_name)]
    if not (expected := well or not_forced):
        with pytest.raises(ProviderDrainedError):
            drains.leave_out(resolution)
        return
    left = drains.leave_out(resolution)
    assert [left.target, *left.fallbacks] == expected
    assert (left.source, left.revision) == (RouteSource.CONFIG, 7)
    assert set(left.drained) == set(targets) - set(expected)


@pytest.mark.parametrize("strategy", [RouteStrategy.LOAD_BALANCE, RouteStrategy.WEIGHTED])
def test_the_share_of_a_drained_provider_goes_to_all_others(strategy: RouteStrategy) -> None:
    """Not to its neighbour alone."""
    table = a_table()
    table.add_route(DynamicRoute("m", [RouteEndpoint(name, "x") for name in "pqr"], strategy))
    table.apply(Draft(drains={"p": Drain("p")}), CAUSE)

    async def resolve() -> list[str]:
        return [(await table.route("m")).provider_name for _ in range(100)]

    chosen = asyncio.run(resolve())
    assert (chosen.count("q"), chosen.count("r")) == (50, 50)


def test_what_expired_meanwhile_does_not_come_back() -> None:
    """Of temporary routes on top of each other, the first that is still valid follows."""
    bottom = DynamicRoute("m", [RouteEndpoint("p", "bottom")])
    middle = DynamicRoute("m", [RouteEndpoint("p", "middle")], expiry=Expiry(5.0, bottom))

    assert Expiry(3.0, middle).following(3.0) is middle
    assert Expiry(5.0, middle).following(5.0) is bottom
    assert Expiry(5.0).following(5.0) is None
    assert list(middle.providers()) == ["p", "p"]


def test_a_route_that_would_come_back_to_a_stranger_is_refused() -> None:
    """What a temporary route takes itself back to must be able to serve as well."""
    table = a_table()
    stranger = DynamicRoute("m", [RouteEndpoint("stranger", "m")])
    with pytest.raises(InvalidRequestError, match="stranger"):
        table.add_route(DynamicRoute("m", [RouteEndpoint("p", "m")], expiry=Expiry(5.0, stranger)))
    assert table.revision == 0
