"""How many further attempts there may be."""

import hypothesis.strategies as st
from hypothesis import given

from proxy.upstream.budget import MOST_SAVED, RetryBudget
from tests.upstream.test_breaker import Clock


def withdrawals(budget: RetryBudget) -> int:
    count = 0
    while budget.withdraw():
        count += 1
    return count


def test_a_quiet_proxy_can_always_try_elsewhere() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    for _ in range(100):
        assert budget.withdraw()
        clock.now += 1


def test_a_failing_provider_gets_ten_a_second_and_no_more() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    assert withdrawals(budget) == 10
    clock.now += 0.5
    assert withdrawals(budget) == 5
    clock.now += 3600
    assert budget.left == 10
    assert withdrawals(budget) == 10


def test_five_requests_pay_for_one_attempt_more() -> None:
    budget = RetryBudget(Clock())
    assert withdrawals(budget) == 10
    for _ in range(4):
        budget.deposit()
        assert not budget.withdraw()
    budget.deposit()
    assert withdrawals(budget) == 1


def test_saving_has_an_end() -> None:
    budget = RetryBudget(Clock())
    for _ in range(100_000):
        budget.deposit()
    assert budget.left == MOST_SAVED + 10
    assert withdrawals(budget) == MOST_SAVED + 10


STEPS = st.one_of(
    st.tuples(st.just("deposit"), st.integers(1, 1000)),
    st.tuples(st.just("withdraw"), st.integers(1, 300)),
    st.tuples(st.just("wait"), st.floats(0, 30)),
)


@given(steps=st.lists(STEPS, max_size=50))
def test_over_any_time_it_is_a_fifth_and_the_reserve(steps: list[tuple[str, float]]) -> None:
    """Counted from any moment on, what was saved before it included."""
    clock = Clock()
    budget = RetryBudget(clock)
    paid, taken = 0, 0
    beginnings = [(0, 0, clock.now)]
    for step, amount in steps:
        match step:
            case "wait":
                clock.now += amount
            case "deposit":
                for _ in range(int(amount)):
                    budget.deposit()
                paid += int(amount)
            case _:
                taken += sum(budget.withdraw() for _ in range(int(amount)))
        for number, (paid_before, taken_before, began_at) in enumerate(beginnings):
            saved_before = MOST_SAVED if number else 0
            due = saved_before + 0.2 * (paid - paid_before) + 10 * (clock.now - began_at + 1)
            assert taken - taken_before <= due + 1e-6
        beginnings.append((paid, taken, clock.now))
