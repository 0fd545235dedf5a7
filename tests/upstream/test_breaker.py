"""When a breaker opens, for how long, and what closes it."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.upstream.breaker import (
    FIRST_OPEN_S,
    FORCED,
    JITTER,
    LONGEST_COOLDOWN_S,
    LONGEST_OPEN_S,
    REFUSED,
    Breaker,
    BreakerState,
    Ticket,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock, lambda: 0.5)  # no jitter


def state(breaker: Breaker) -> BreakerState:
    return breaker.state


def fail(breaker: Breaker, times: int = 5) -> None:
    for _ in range(times):
        breaker.fail(breaker.admit())


def trial(breaker: Breaker, clock: Clock) -> Ticket:
    clock.now = breaker.open_until
    assert breaker.is_usable
    return breaker.admit()


def test_failures_in_a_row_open_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 4)
    breaker.succeed(breaker.admit())
    fail(breaker, 4)
    assert state(breaker) is BreakerState.CLOSED

    why = breaker.fail(breaker.admit())

    assert why == "5 failures in a row"
    assert state(breaker) is BreakerState.OPEN
    assert breaker.open_until == clock.now + FIRST_OPEN_S
    assert breaker.admit() == REFUSED
    assert not breaker.is_usable


def test_a_high_error_rate_opens_it_once_there_are_enough_results(breaker: Breaker, clock: Clock) -> None:
    for _ in range(9):
        breaker.succeed(breaker.admit())
        clock.now += 1
        assert breaker.fail(breaker.admit()) is None
    breaker.succeed(breaker.admit())

    assert breaker.fail(breaker.admit()) == "10 failures in 20 requests within 30 s"


def test_less_than_half_is_borne(breaker: Breaker, clock: Clock) -> None:
    for _ in range(100):
        for _ in range(2):
            breaker.succeed(breaker.admit())
        breaker.fail(breaker.admit())
        clock.now += 0.1

    assert state(breaker) is BreakerState.CLOSED


@pytest.mark.parametrize("gap_s", [31, 3600])
def test_old_results_leave_the_window(breaker: Breaker, clock: Clock, gap_s: float) -> None:
    for _ in range(9):
        breaker.succeed(breaker.admit())
        fail(breaker, 1)
    clock.now += gap_s
    for _ in range(9):
        breaker.succeed(breaker.admit())
        fail(breaker, 1)

    assert state(breaker) is BreakerState.CLOSED


def test_it_opens_for_longer_each_time(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    open_s = [breaker.open_until - clock.now]
    for _ in range(5):
        assert breaker.fail(trial(breaker, clock)) == "its trial failed"
        open_s.append(breaker.open_until - clock.now)

    assert open_s == [5, 10, 20, 40, 60, 60]


def test_ending_well_makes_it_short_again_beginning_well_does_not(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    breaker.answer(attempt := trial(breaker, clock))
    assert state(breaker) is BreakerState.CLOSED
    breaker.fail(attempt)
    fail(breaker, 4)
    assert breaker.open_until == clock.now + 10

    breaker.answer(attempt := trial(breaker, clock))
    breaker.succeed(attempt)
    fail(breaker)
    assert breaker.open_until == clock.now + 5


@given(chance=st.floats(0, 1), times=st.integers(1, 2000))
def test_open_times_stay_within_their_jitter(chance: float, times: int) -> None:
    clock = Clock()
    breaker = Breaker(clock, lambda: chance)
    fail(breaker)
    for _ in range(times):
        usual_s = breaker.open_until - clock.now
        assert FIRST_OPEN_S * (1 - JITTER) - 1e-6 <= usual_s <= LONGEST_OPEN_S * (1 + JITTER) + 1e-6
        breaker.fail(trial(breaker, clock))


def test_one_trial_at_a_time(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    attempt = trial(breaker, clock)

    assert attempt
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.admit() == REFUSED

    breaker.abandon(attempt)
    assert breaker.is_usable
    second = breaker.admit()
    breaker.abandon(attempt)  # what ended before can't free the place again
    assert breaker.admit() == REFUSED

    breaker.answer(second)
    assert state(breaker) is BreakerState.CLOSED


def test_a_trial_without_content_closes_by_its_good_end(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    breaker.succeed(trial(breaker, clock))

    assert state(breaker) is BreakerState.CLOSED
    assert breaker.is_usable


def test_what_began_before_tells_nothing_of_now(breaker: Breaker, clock: Clock) -> None:
    """A hundred requests that were swallowed in an outage time out after it."""
    swallowed = [breaker.admit() for _ in range(100)]
    fail(breaker)
    attempt = trial(breaker, clock)
    for ticket in swallowed[:50]:
        breaker.fail(ticket)
        breaker.answer(ticket)
        breaker.succeed(ticket)
        breaker.abandon(ticket)
    assert state(breaker) is BreakerState.HALF_OPEN
    assert not breaker.is_usable

    breaker.answer(attempt)
    for ticket in swallowed[50:]:
        breaker.fail(ticket)

    assert state(breaker) is BreakerState.CLOSED


def test_forced_attempts_tell_nothing(breaker: Breaker, clock: Clock) -> None:
    assert breaker.force() == breaker.admit()
    fail(breaker)
    until = breaker.open_until

    assert breaker.force() == FORCED
    assert FORCED
    breaker.answer(FORCED)
    breaker.succeed(FORCED)
    breaker.fail(FORCED)

    assert (breaker.state, breaker.open_until) == (BreakerState.OPEN, until)


def test_a_pause_that_is_asked_for_is_kept_at_once(breaker: Breaker, clock: Clock) -> None:
    assert breaker.fail(breaker.admit(), 17) == "it asks for a pause of 17 s"
    assert breaker.open_until == clock.now + 17
    assert breaker.fail(FORCED, 3) is None
    assert breaker.open_until == clock.now + 17
    assert breaker.fail(FORCED, 20) is None
    assert breaker.open_until == clock.now + 20

    breaker.fail(trial(breaker, clock), 86_400)
    assert breaker.open_until == clock.now + LONGEST_COOLDOWN_S


@pytest.mark.parametrize("retry_after_s", [None, 0, -5, float("nan")])
def test_no_pause_is_none(breaker: Breaker, retry_after_s: float | None) -> None:
    assert breaker.fail(breaker.admit(), retry_after_s) is None
    assert state(breaker) is BreakerState.CLOSED


def test_a_short_pause_doesnt_shorten_what_failures_earn(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 4)
    breaker.fail(breaker.admit(), 1)

    assert breaker.open_until == clock.now + FIRST_OPEN_S


def test_recovered_it_starts_anew(breaker: Breaker, clock: Clock) -> None:
    before = breaker.admit()
    fail(breaker)
    breaker.recover()
    for _ in range(5):
        breaker.fail(before)

    assert state(breaker) is BreakerState.CLOSED
    fail(breaker, 4)
    assert state(breaker) is BreakerState.CLOSED


class BreakerMachine(RuleBasedStateMachine):
    """However attempts begin and end: who gets in, and that a place that is taken is held by somebody."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(self.clock, lambda: 0.5)
        self.under_way: list[Ticket] = []
        self.trials: set[Ticket] = set()

    @rule()
    def admit(self) -> None:
        was, is_usable = self.breaker.state, self.breaker.is_usable
        is_due = self.clock.now >= self.breaker.open_until
        ticket = self.breaker.admit()
        assert bool(ticket) == is_usable
        if ticket:
            assert was is BreakerState.CLOSED or is_due
            self.under_way.append(ticket)
            if self.breaker.state is BreakerState.HALF_OPEN:
                assert ticket not in self.trials
                self.trials.add(ticket)

    @rule()
    def force(self) -> None:
        self.under_way.append(self.breaker.force())

    @rule()
    def recover(self) -> None:
        self.breaker.recover()

    @rule(passed_s=st.floats(0, 100))
    def wait(self, passed_s: float) -> None:
        self.clock.now += passed_s

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self.breaker.answer(data.draw(st.sampled_from(self.under_way)))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), how=st.sampled_from(["succeed", "fail", "pause", "abandon"]))
    def end(self, data: st.DataObject, how: str) -> None:
        ticket = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        match how:
            case "succeed":
                self.breaker.succeed(ticket)
            case "fail":
                self.breaker.fail(ticket)
            case "pause":
                self.breaker.fail(ticket, data.draw(st.floats(0, 10_000)))
            case "abandon":
                self.breaker.abandon(ticket)

    @invariant()
    def a_taken_place_is_held(self) -> None:
        if self.breaker.state is BreakerState.HALF_OPEN and not self.breaker.is_usable:
            assert self.under_way.count(max(self.trials)) == 1

    @invariant()
    def it_comes_back(self) -> None:
        assert self.breaker.open_until <= self.clock.now + LONGEST_COOLDOWN_S
        assert self.breaker.state is not BreakerState.CLOSED or self.breaker.is_usable


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=60)
