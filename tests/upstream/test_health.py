"""Which endpoints can be asked, and what is known of them."""

import logging
from math import exp

import pytest

from proxy.errors import Failure
from proxy.routing import RoutingTarget
from proxy.upstream import health as health_module
from proxy.upstream.breaker import BreakerState, Ticket
from proxy.upstream.endpoint_health import COUNTED, EndpointHealth, HealthChange
from proxy.upstream.health import Health
from tests.upstream.test_breaker import Clock

A, B, C = (RoutingTarget("one", "a"), RoutingTarget("two", "b"), RoutingTarget("one", "c"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> list[HealthChange]:
    return []


@pytest.fixture
def health(clock: Clock, changes: list[HealthChange]) -> Health:
    return Health(changes.append, clock, lambda: 0.5)


def begin(endpoint: EndpointHealth) -> Ticket:
    ticket = endpoint.admit()
    assert ticket
    return ticket


def state(endpoint: EndpointHealth) -> BreakerState:
    return endpoint.state


def open_up(endpoint: EndpointHealth) -> None:
    while state(endpoint) is BreakerState.CLOSED:
        endpoint.fail(begin(endpoint), Failure.TIMEOUT)


def test_a_stranger_is_usable(health: Health) -> None:
    assert health.all_usable
    assert health.is_usable(A)
    assert health.load_s(A) == 0
    assert health.retry_after_s([A, B]) is None
    assert health.endpoints() == []
    assert health.of(A) is health.of(RoutingTarget("one", "a"))


def test_an_open_endpoint_is_left_alone_until_its_trial_closes_it(
    health: Health, clock: Clock, changes: list[HealthChange], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pointsman.health")
    endpoint = health.of(A)
    open_up(endpoint)

    assert (health.all_usable, health.is_usable(A), health.is_usable(B)) == (False, False, True)
    assert not endpoint.admit()
    assert endpoint.in_flight == 0

    clock.now = endpoint.open_until
    assert health.is_usable(A)
    ticket = begin(endpoint)
    assert (health.all_usable, health.is_usable(A)) == (False, False)

    endpoint.answered(ticket, 0.5)
    assert health.is_usable(A)
    assert health.all_usable
    endpoint.succeed(ticket)
    assert endpoint.in_flight == 0

    closed, opened, half_open = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
    assert [(each.before, each.after, each.open_s) for each in changes] == [
        (closed, opened, 5.0),
        (opened, half_open, 0.0),
        (half_open, closed, 0.0),
    ]
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "Endpoint 'one:a' is left alone for 5.0 s: 5 failures in a row (timeout)"),
        ("INFO", "Endpoint 'one:a' is on trial: its time is over, and one request tries it"),
        ("INFO", "Endpoint 'one:a' is back: it answers again"),
    ]


@pytest.mark.parametrize("failure", Failure)
def test_only_its_own_failures_count(health: Health, failure: Failure) -> None:
    endpoint = health.of(A)
    for _ in range(5):
        endpoint.fail(begin(endpoint), failure, 30 if failure is Failure.BUSY else None)

    assert (state(endpoint) is BreakerState.OPEN) == (failure in COUNTED)
    assert endpoint.in_flight == 0


def test_a_trial_that_the_client_spoils_frees_the_place(health: Health, clock: Clock) -> None:
    endpoint = health.of(A)
    open_up(endpoint)
    clock.now = endpoint.open_until
    endpoint.fail(begin(endpoint), Failure.CONTEXT_LENGTH)
    endpoint.abandon(begin(endpoint))

    assert state(endpoint) is BreakerState.HALF_OPEN
    assert health.is_usable(A)
    assert endpoint.in_flight == 0


def test_a_limited_endpoint_rests_as_long_as_it_asks(health: Health, clock: Clock, changes: list[HealthChange]) -> None:
    endpoint = health.of(A)
    endpoint.fail(begin(endpoint), Failure.RATE_LIMITED, 42)

    assert endpoint.open_until == clock.now + 42
    assert changes[0].reason == "it asks for a pause of 42 s (rate_limited)"
    assert changes[0].open_s == 42


def test_where_all_are_open_the_first_to_come_back_is_tried(health: Health, clock: Clock) -> None:
    health.of(A).fail(begin(health.of(A)), Failure.UNAVAILABLE, 30)
    assert health.retry_after_s([A, B]) is None
    assert health.retry_after_s([A]) == 30
    health.of(B).fail(begin(health.of(B)), Failure.UNAVAILABLE, 20)

    assert health.least_bad([A, B]) == B
    assert health.retry_after_s([A, B]) == 20
    assert health.retry_after_s([]) is None

    ticket = health.of(B).force()
    assert health.of(B).in_flight == 1
    health.of(B).answered(ticket, 0.1)
    health.of(B).succeed(ticket)
    assert health.of(B).in_flight == 0
    assert state(health.of(B)) is BreakerState.OPEN

    clock.now += 20
    assert health.retry_after_s([A, B]) is None
    begin(health.of(B))
    assert health.retry_after_s([A, B]) == 1


def test_load_follows_a_peak_at_once_and_forgets_it_slowly(health: Health, clock: Clock) -> None:
    endpoint = health.of(A)
    for first_byte_s in (0.2, 2.0):
        endpoint.answered(ticket := begin(endpoint), first_byte_s)
        endpoint.succeed(ticket)
    assert health.load_s(A) == 2.0
    ticket = begin(endpoint)
    assert health.load_s(A) == 4.0

    clock.now += 10
    assert health.load_s(A) == pytest.approx(4.0 * exp(-1))
    endpoint.answered(ticket, 0.2)
    endpoint.succeed(ticket)
    assert health.load_s(A) == pytest.approx(2.0 * exp(-1) + 0.2 * (1 - exp(-1)))


def test_a_probe_closes_it(health: Health, changes: list[HealthChange]) -> None:
    endpoint = health.of(A)
    endpoint.recovered()
    assert changes == []
    open_up(endpoint)
    endpoint.recovered()

    assert state(endpoint) is BreakerState.CLOSED
    assert health.all_usable
    assert changes[-1].reason == "it answers a probe"


def test_a_provider_that_is_configured_anew_starts_anew(health: Health, changes: list[HealthChange]) -> None:
    old = health.of(A)
    attempt = begin(old)
    open_up(old)
    open_up(health.of(B))
    health.of(C)
    health.forget("one")
    assert [each.provider for each in health.endpoints()] == ["two"]
    assert health.is_usable(A)
    health.forget("two")
    assert health.all_usable

    changes.clear()
    old.fail(attempt, Failure.RATE_LIMITED, 600)
    old.recovered()
    open_up(old)
    assert health.all_usable
    assert changes == []


def test_invented_models_dont_fill_the_memory(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that rest and are well go first, the one that was asked longest ago before the others."""
    monkeypatch.setattr(health_module, "MOST_ENDPOINTS", 4)
    open_up(health.of(A))
    begin(health.of(B))
    health.of(C)
    health.of(RoutingTarget("one", "d"))
    health.of(C)
    for number in range(10):
        health.of(RoutingTarget("one", f"made-up-{number}"))
    kept = {each.model_id for each in health.endpoints()}
    assert kept == {"a", "b", "made-up-8", "made-up-9"}

    for number in range(10):
        begin(health.of(RoutingTarget("one", f"in-use-{number}")))
    assert len(health.endpoints()) == 4
    assert health.all_usable, "the open one was forgotten, too"


def test_a_made_up_name_makes_no_line_of_its_own(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    open_up(health.of(RoutingTarget("one", "x\n" + "y" * 1000)))

    assert "\n" not in caplog.text.rstrip("\n")
    assert len(caplog.records[0].message) < 400
