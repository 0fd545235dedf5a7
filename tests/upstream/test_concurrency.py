"""Who gets a place, and when: limits, turns, and leaving the queue."""

import asyncio
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.config.settings import Concurrency
from proxy.errors import Failure, UpstreamBusyError
from proxy.upstream.concurrency import ConcurrencyLimit


def limit_of(requests: int = 1, **settings: Any) -> ConcurrencyLimit:
    return ConcurrencyLimit(Concurrency(requests, **settings), "up")


def start(limit: ConcurrencyLimit, count: int) -> list[asyncio.Task[None]]:
    """Requests that want a place, in this order."""
    return [asyncio.create_task(limit.enter()) for _ in range(count)]


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_places_are_handed_on_in_turn() -> None:
    limit = limit_of(2)
    assert limit.try_enter()
    await limit.enter()
    assert not limit.try_enter()
    waiters = start(limit, 3)
    await settle()
    assert (limit.in_use, limit.waiting) == (2, 3)

    limit.leave()
    assert not limit.try_enter(), "nobody overtakes"
    await settle()
    assert [waiter.done() for waiter in waiters] == [True, False, False]
    limit.leave()
    limit.leave()
    await asyncio.gather(*waiters)
    assert (limit.in_use, limit.waiting) == (2, 0)
    limit.leave()
    limit.leave()
    assert limit.in_use == 0


async def test_a_full_queue_refuses_at_once() -> None:
    limit = limit_of(waiting=1)
    await limit.enter()
    waiter = start(limit, 1)[0]
    await settle()
    with pytest.raises(UpstreamBusyError, match=r"Provider `up` .* all 1 are in use, and 1 wait") as busy:
        await limit.enter()
    limit.leave()
    await waiter

    assert (busy.value.status, busy.value.retry_after_s, busy.value.provider) == (429, 1, "up")
    assert busy.value.failure is Failure.BUSY, "our own limit, which tells nothing of the endpoint"


@pytest.mark.parametrize(("wait_s", "limit_s", "waited"), [(0.01, None, "0.01"), (9, 0.01, "0.01"), (0.01, 9, "0.01")])
async def test_waiting_is_limited(wait_s: float, limit_s: float | None, waited: str) -> None:
    limit = limit_of(wait_s=wait_s)
    await limit.enter()
    with pytest.raises(UpstreamBusyError, match=f"no place free at `up` for {waited} s"):
        await limit.enter(limit_s)

    assert (limit.in_use, limit.waiting) == (1, 0)
    limit.leave()
    assert limit.try_enter()


async def test_who_has_no_time_doesnt_wait() -> None:
    limit = ConcurrencyLimit(Concurrency(1), "up:some-model")
    await limit.enter(0)
    with pytest.raises(UpstreamBusyError, match="`up:some-model`") as busy:
        await limit.enter(0)

    assert busy.value.provider == "up"
    assert (limit.in_use, limit.waiting) == (1, 0)


async def test_whose_time_is_over_in_the_moment_of_its_turn_leaves_the_place_to_the_next() -> None:
    """The alarm rings, and before its task runs another leaves."""
    limit = limit_of()
    await limit.enter()
    first, second = start(limit, 2)
    await settle()
    limit._give_up(limit._waiters[0], 1)
    limit.leave()

    assert [type(each) for each in await asyncio.gather(first, second, return_exceptions=True)] == [
        UpstreamBusyError,
        type(None),
    ]
    assert limit.in_use == 1


async def test_one_cancelled_in_the_moment_of_its_turn_loses_no_place() -> None:
    limit = limit_of()
    await limit.enter()
    first, second = start(limit, 2)
    await settle()
    limit.leave()
    first.cancel()
    await second

    assert first.cancelled()
    assert (limit.in_use, limit.waiting) == (1, 0)


class Turns(RuleBasedStateMachine):
    """However requests come, leave and are cancelled: in turn, within the limits, and no place is lost."""

    PLACES, WAITING = 2, 4

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.limit = limit_of(self.PLACES, waiting=self.WAITING)
        self.holders = 0
        self.queue: list[asyncio.Task[None]] = []

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.close()

    async def settle(self) -> None:
        await settle()
        turns = min(self.PLACES - self.holders, len(self.queue))
        assert [task.done() for task in self.queue] == [True] * turns + [False] * (len(self.queue) - turns)
        await asyncio.gather(*self.queue[:turns])
        del self.queue[:turns]
        self.holders += turns

    @rule(count=st.integers(1, 4))
    def ask(self, count: int) -> None:
        async def ask() -> None:
            room = self.PLACES - self.holders + self.WAITING - len(self.queue)
            tasks = start(self.limit, count)
            self.queue += tasks[:room]
            for refused in tasks[room:]:
                with pytest.raises(UpstreamBusyError):
                    await refused
            await self.settle()

        self.runner.run(ask())

    @rule(leaving=st.integers(0, 2), cancelled=st.sets(st.integers(0, 3)), is_first=st.booleans())
    def leave(self, leaving: int, cancelled: set[int], is_first: bool) -> None:
        """Some leave, and in the same moment some who wait are cancelled, perhaps those whose turn has come."""

        async def leave() -> None:
            gone = [task for number, task in enumerate(self.queue) if number in cancelled]
            if is_first:
                for task in gone:
                    task.cancel()
            for _ in range(min(leaving, self.holders)):
                self.limit.leave()
                self.holders -= 1
            for task in gone:
                task.cancel()
            await asyncio.gather(*gone, return_exceptions=True)
            assert all(task.cancelled() for task in gone)
            self.queue = [task for task in self.queue if task not in gone]
            await self.settle()

        self.runner.run(leave())

    @precondition(lambda self: self.holders < self.PLACES)
    @rule()
    def try_it(self) -> None:
        assert self.limit.try_enter()
        self.holders += 1

    @invariant()
    def no_place_is_lost(self) -> None:
        if hasattr(self, "limit"):
            assert self.limit.in_use == self.holders
            assert self.limit.waiting == len(self.queue)


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
