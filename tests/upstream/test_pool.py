"""Who gets a connection, and when: limits, turns, resting, closing."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.config import Limits
from proxy.upstream.broken import BrokenError, Phase
from proxy.upstream.connection import Connection
from proxy.upstream.dial import Dialer
from proxy.upstream.pool import BusyError, Pool
from tests.upstream.loopback import Listener, tls_pair, until, unused_port

Gather = list["asyncio.Task[Connection]"]


@pytest.fixture
async def server() -> AsyncIterator[Listener]:
    async with Listener() as server:
        yield server


def pool_of(server: Listener, tls: ssl.SSLContext | None = None, **limits: Any) -> Pool:
    return Pool(Dialer("127.0.0.1", server.port, tls, None), Limits(**limits))


def start(pool: Pool, count: int, limit_s: float = 10) -> Gather:
    """Requests that want a connection, in this order."""
    return [asyncio.create_task(pool.acquire(limit_s)) for _ in range(count)]


async def test_the_one_that_rested_last_serves_first(server: Listener) -> None:
    """What isn't needed grows old at the bottom."""
    pool = pool_of(server)
    first, second = await pool.acquire(5), await pool.acquire(5)
    pool.release(first)
    pool.release(second)

    assert (pool.open, pool.busy, pool.resting) == (2, 0, 2)
    assert pool.take() is second
    assert await pool.acquire(5) is first
    assert pool.take() is None
    assert (pool.open, pool.busy, pool.resting) == (2, 2, 0)
    pool.close()


async def test_giving_back_twice_changes_nothing(server: Listener) -> None:
    """A connection rests once at most, and one that was dropped stays so."""
    pool = pool_of(server)
    kept, dropped = await pool.acquire(5), await pool.acquire(5)
    for _ in range(2):
        pool.release(kept)
        pool.drop(dropped)
        pool.release(dropped)

    assert (pool.open, pool.resting) == (1, 1)
    assert pool.take() is kept
    assert pool.take() is None
    pool.close()


async def test_beyond_the_limit_requests_wait_in_turn(server: Listener) -> None:
    """A connection that is given back goes to the one who waits longest; one that is dropped makes room for the next."""
    pool = pool_of(server, connections=2)
    busy = [await pool.acquire(5) for _ in range(2)]
    waiters = start(pool, 3)
    await until(lambda: pool.waiting == 3)

    pool.release(busy[0])
    assert await waiters[0] is busy[0]
    assert pool.waiting == 2
    pool.drop(busy[1])
    assert await waiters[1] not in busy
    assert (pool.open, pool.busy, pool.waiting) == (2, 2, 1)
    assert not waiters[2].done()
    pool.drop(await waiters[1])
    await waiters[2]
    assert len(server.accepted) == 4
    pool.close()


async def test_nobody_overtakes(server: Listener) -> None:
    """Who comes in the moment in which another's turn has come waits behind the others."""
    pool = pool_of(server, connections=1)
    busy = await pool.acquire(5)
    waiters = start(pool, 2)
    await until(lambda: pool.waiting == 2)
    pool.drop(busy)

    assert pool.take() is None
    waiters += start(pool, 1)
    for waiter in waiters:
        pool.release(await waiter)
    pool.close()


async def test_a_full_queue_refuses_at_once(server: Listener) -> None:
    """The error says why, and that nothing was sent."""
    pool = pool_of(server, connections=1, waiting=1)
    await pool.acquire(5)
    waiter = start(pool, 1)[0]
    await until(lambda: pool.waiting == 1)
    with pytest.raises(BusyError, match="all 1 are in use, and 1 requests wait") as busy:
        await pool.acquire(5)
    waiter.cancel()

    assert (busy.value.phase, busy.value.sent, busy.value.received) == (Phase.CONNECT, False, False)
    pool.close()


async def test_waiting_is_limited(server: Listener) -> None:
    """Who waited for too long is told so and leaves the queue."""
    pool = pool_of(server, connections=1)
    busy = await pool.acquire(5)
    with pytest.raises(BusyError, match=r"had no connection free for 0\.01 s"):
        await pool.acquire(0.01)

    assert pool.waiting == 0
    pool.release(busy)
    assert pool.take() is busy
    pool.close()


async def test_a_place_whose_connection_fails_goes_on() -> None:
    """Where none can be opened, everybody in the queue learns it, one after the other."""
    pool = Pool(Dialer("127.0.0.1", unused_port(), None, None), Limits(connections=1))
    outcomes = await asyncio.gather(*start(pool, 3), return_exceptions=True)

    assert [(type(outcome), str(outcome).split(":")[0]) for outcome in outcomes] == [
        (BrokenError, "could not be reached at 127.0.0.1")
    ] * 3
    assert (pool.open, pool.waiting) == (0, 0)


@pytest.mark.parametrize("give", [Pool.release, Pool.drop], ids=["connection", "place"])
async def test_one_who_is_cancelled_in_its_turn_passes_it_on(
    give: Callable[[Pool, Connection], None], server: Listener
) -> None:
    """What it was given already, a connection or the place for one, is the next one's."""
    pool = pool_of(server, connections=1)
    busy = await pool.acquire(5)
    waiters = start(pool, 2)
    await until(lambda: pool.waiting == 2)
    give(pool, busy)
    waiters[0].cancel()

    assert await waiters[1] is busy or give is Pool.drop
    assert waiters[0].cancelled()
    assert (pool.open, pool.busy, pool.waiting) == (1, 1, 0)
    pool.close()


async def test_opening_that_is_cancelled_frees_its_place(server: Listener) -> None:
    """Also in the middle of connecting."""
    pool = pool_of(server, connections=1)
    opening = start(pool, 2)
    await until(lambda: pool.waiting == 1)
    opening[0].cancel()
    await opening[1]

    assert (pool.open, pool.busy) == (1, 1)
    pool.close()


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"], ids=["EOF", "a word unasked"])
async def test_a_resting_connection_that_ends_leaves_at_once(last_words: bytes, server: Listener) -> None:
    """It isn't kept until somebody wants it, and nobody gets it."""
    pool = pool_of(server)
    ended, other = await pool.acquire(5), await pool.acquire(5)
    pool.release(ended)
    pool.release(other)
    await until(lambda: len(server.accepted) == 2)
    if last_words:
        server.accepted[0].write(last_words)
    else:
        server.accepted[0].close()
    await until(lambda: pool.open == 1)

    assert pool.take() is other
    pool.close()


async def test_a_busy_connection_that_ends_is_its_owners_to_give_back(server: Listener) -> None:
    """Until then it counts; then it is gone, whatever its owner thought of it."""
    pool = pool_of(server)
    connection = await pool.acquire(5)
    await until(lambda: server.accepted)
    server.accepted[0].abort()
    await until(lambda: not connection.rest())
    assert pool.busy == 1

    pool.release(connection)
    assert pool.open == 0


async def test_a_connection_rests_for_a_limited_time(server: Listener) -> None:
    """Old ones are closed, younger ones stay a while longer."""
    pool = pool_of(server, keepalive_s=0.05)
    for connection in [await pool.acquire(5) for _ in range(3)]:
        pool.release(connection)
    async with asyncio.timeout(5):
        gone = {await server.gone.get() for _ in range(3)}

    assert gone == {0, 1, 2}
    assert pool.open == 0
    pool.close()


@pytest.mark.parametrize(("is_tls", "keepalive_s"), [(False, 4), (True, 30)], ids=["http", "https"])
async def test_how_long_it_rests_depends_on_the_scheme(
    is_tls: bool, keepalive_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less than common servers of plain HTTP allow, and longer where TLS makes a new one dear."""
    loop = asyncio.get_running_loop()
    now, passed = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: now() + passed)
    server_tls, client_tls = tls_pair("127.0.0.1") if is_tls else (None, None)
    async with Listener(server_tls) as server:
        pool = pool_of(server, client_tls)
        await pool.warm(5)
        passed = keepalive_s - 1
        pool.release(await pool.acquire(5))
        passed = 2 * keepalive_s - 2
        for _ in range(3):
            await asyncio.sleep(0)
        assert pool.resting == 1
        passed = 2 * keepalive_s
        async with asyncio.timeout(5):
            await server.gone.get()

    assert pool.open == 0


async def test_warming(server: Listener) -> None:
    """One connection is opened if there is none, and rests until it is wanted."""
    pool = pool_of(server)
    await asyncio.gather(*(pool.warm(5) for _ in range(3)))
    assert (pool.open, pool.resting) == (1, 1)

    connection = pool.take()
    assert connection is not None
    await pool.warm(5)
    pool.release(connection)
    await pool.warm(5)
    assert pool.open == 1
    pool.close()


async def test_warming_that_fails() -> None:
    """It raises what a request would have got, and leaves nothing behind."""
    pool = Pool(Dialer("127.0.0.1", unused_port(), None, None))
    with pytest.raises(BrokenError):
        await pool.warm(5)

    assert pool.open == 0


async def test_closing(server: Listener) -> None:
    """Connections in use, resting and on their way are closed; who waits is told."""
    pool = pool_of(server, connections=3)
    resting = await pool.acquire(5)
    busy = await pool.acquire(5)
    pool.release(resting)
    assert pool.take() is resting
    opening, *waiting = start(pool, 3)
    await until(lambda: pool.waiting == 2)
    pool.close()

    for task in (opening, *waiting):
        with pytest.raises(BrokenError, match="the proxy is stopping"):
            await task
    with pytest.raises(BrokenError, match="the proxy is stopping"):
        await pool.acquire(5)
    pool.release(busy)
    pool.drop(resting)
    await until(lambda: server.gone.qsize() == len(server.accepted))
    assert (pool.open, pool.waiting) == (0, 0)


class Turns(RuleBasedStateMachine):
    """A pool beside what it should do: whoever has a connection, and who waits in which order."""

    CONNECTIONS, WAITING = 3, 4

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.server = Listener()
        self.run(self.server.__aenter__())
        self.pool = pool_of(self.server, connections=self.CONNECTIONS, waiting=self.WAITING)
        self.holders: list[Connection] = []
        self.queue: Gather = []
        self.resting = 0

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.end())
            self.runner.close()

    async def end(self) -> None:
        self.pool.close()
        await asyncio.gather(*self.queue, return_exceptions=True)
        await self.server.__aexit__()

    async def settle(self) -> None:
        """Everybody whose turn it is gets a connection, and nobody else does."""
        turns = min(self.CONNECTIONS - len(self.holders), len(self.queue))
        if turns:
            async with asyncio.timeout(5):
                got = await asyncio.gather(*self.queue[:turns])
            del self.queue[:turns]
            assert len({*self.holders, *got}) == len(self.holders) + turns
            self.holders += got
        for _ in range(3):
            await asyncio.sleep(0)
        assert not any(task.done() for task in self.queue)
        assert self.pool.waiting == len(self.queue)
        assert self.pool.busy == len(self.holders)
        self.resting = self.pool.resting
        assert not (self.resting and self.queue)

    @rule(count=st.integers(1, 3))
    def ask(self, count: int) -> None:
        async def ask() -> None:
            room = self.CONNECTIONS - len(self.holders) + self.WAITING - len(self.queue)
            tasks = start(self.pool, count)
            self.queue += tasks[:room]
            for refused in tasks[room:]:
                with pytest.raises(BusyError):
                    await refused
            await self.settle()

        self.run(ask())

    @precondition(lambda self: self.holders)
    @rule(which=st.integers(0, 2), is_good=st.booleans(), cancelled=st.sets(st.integers(0, 3)))
    def give_back(self, which: int, is_good: bool, cancelled: set[int]) -> None:
        """One is given back, and in the same moment some who wait are cancelled, perhaps those whose turn has come."""

        async def give_back() -> None:
            connection = self.holders.pop(which % len(self.holders))
            (self.pool.release if is_good else self.pool.drop)(connection)
            leaving = [task for number, task in enumerate(self.queue) if number in cancelled]
            self.queue = [task for task in self.queue if task not in leaving]
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            assert all(task.cancelled() for task in leaving)
            await self.settle()

        self.run(give_back())

    @precondition(lambda self: self.holders)
    @rule(which=st.integers(0, 2))
    def break_one(self, which: int) -> None:
        """The server ends one that is in use; giving it back makes room."""

        async def break_one() -> None:
            connection = self.holders.pop(which % len(self.holders))
            assert connection.transport is not None
            name = connection.transport.get_extra_info("sockname")
            await until(lambda: any(each.get_extra_info("peername") == name for each in self.server.accepted))
            for each in self.server.accepted:
                if each.get_extra_info("peername") == name:
                    each.abort()
            await until(lambda: not connection.rest())
            self.pool.release(connection)
            await self.settle()

        self.run(break_one())

    @precondition(lambda self: self.queue)
    @rule(which=st.integers(0, 3))
    def leave(self, which: int) -> None:
        async def leave() -> None:
            task = self.queue.pop(which % len(self.queue))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.settle()

        self.run(leave())

    @invariant()
    def within_limits(self) -> None:
        if hasattr(self, "pool"):
            assert self.pool.open == len(self.holders) + self.resting <= self.CONNECTIONS
            assert self.pool.waiting <= self.WAITING


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
