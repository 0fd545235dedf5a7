"""The run itself: a proxy between faulty clients and a faulty provider, and what is there before and after."""

import asyncio
import gc
import logging
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from proxy.app import Proxy
from proxy.config import settings_from
from proxy.telemetry import Ending, Outcome, Telemetry, recent
from proxy.upstream import breaker, budget
from proxy.upstream.concurrency import ConcurrencyLimit
from proxy.upstream.connection import Connection
from proxy.upstream.pool import Pool
from tests.chaos.clients import MANNERS, Client
from tests.chaos.provider import FAULTS, FaultyProvider

_AT_ONCE = 100


class Census(NamedTuple):
    """What a process holds that should be as it was."""

    files: int
    tasks: int
    objects: dict[str, int]
    """The proxy's own, by class."""
    resident_mib: float


class Report(NamedTuple):
    """How a run went."""

    before: Census
    warm: Census
    after: Census
    ends: Counter[str]
    """How the requests ended, by the client's manner."""
    left_in: Counter[str]
    """The phases in which clients left their requests; those that waited in a queue count twice."""
    faults: list[str]
    """What should not have happened: exceptions that nobody caught, errors in the log, wrong answers."""
    left_open: dict[str, float]
    seconds: float


async def census() -> Census:
    """Count what is here now."""
    for _ in range(2):
        gc.collect()
        # Generators that nobody iterates any more are closed by the event loop.
        await asyncio.sleep(0.01)
    ours = Counter(
        type(each).__qualname__ for each in gc.get_objects() if str(type(each).__module__).startswith("proxy.")
    )
    return Census(_files(), len(asyncio.all_tasks()), dict(ours), _resident_mib())


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1024 / 1024


class _Errors(logging.Handler):
    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._faults = faults

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "pointsman.alarms":
            return  # a sick provider is what this is about
        cause = record.exc_info[1] if record.exc_info else None
        self._faults.append(f"{record.getMessage()} {cause!r}")


@contextmanager
def _noting(left_in: Counter[str]) -> Iterator[None]:
    """Count in which phases clients leave."""
    record, enter, wait = Telemetry.record, ConcurrencyLimit.enter, Pool._wait

    def note_record(telemetry: Telemetry, outcome: Outcome) -> None:
        if outcome.ending is Ending.CLIENT_GONE:
            left_in[_phase(outcome)] += 1
        record(telemetry, outcome)

    async def note_enter(limit: ConcurrencyLimit, limit_s: float | None = None) -> None:
        try:
            await enter(limit, limit_s)
        except asyncio.CancelledError:
            left_in["waiting for a place"] += limit._who == "limited"  # elsewhere, a hedge may have won
            raise

    async def note_wait(pool: Pool, limit_s: float) -> Connection | None:
        try:
            return await wait(pool, limit_s)
        except asyncio.CancelledError:
            left_in["waiting for a connection"] += 1
            raise

    with (
        patch.object(Telemetry, "record", note_record),
        patch.object(ConcurrencyLimit, "enter", note_enter),
        patch.object(Pool, "_wait", note_wait),
    ):
        yield


def _phase(outcome: Outcome) -> str:
    open_attempts = [each for each in outcome.attempts if each.duration_s is None]
    if not outcome.attempts:
        return "within the body"
    if outcome.served_by is not None:
        return "within the answer"
    if len(open_attempts) > 1:
        return "with two attempts open"
    held = any(attempt.status == 200 for attempt in outcome.attempts)
    return "while the answer was held back" if held else "before the head"


async def run(requests: int, seed: int = 0, manners: Sequence[str] = tuple(MANNERS)) -> Report:
    """Send that many requests, each with one of the clients' manners and a provider's fault taken by chance."""
    chance, faults, ends, left_in = random.Random(seed), list[str](), Counter[str](), Counter[str]()
    log, errors = logging.getLogger(), _Errors(faults)
    log.addHandler(errors)
    began = time.monotonic()
    try:
        async with AsyncExitStack() as stack:
            stack.enter_context(_noting(left_in))
            # So few that what is left behind can't hide among them.
            stack.enter_context(patch.object(recent, "KEPT", 20))
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
            provider = await stack.enter_async_context(FaultyProvider())
            proxy = await stack.enter_async_context(Proxy(settings_from(_sections(provider.origin, nobody))))
            before = await census()
            await _send(proxy, range(requests // 5), manners, chance, ends, faults)
            await _settle(proxy, provider, before)
            warm = await census()
            # From here on no breaker opens: or hardly a request would find a second target to hedge or to hold for.
            stack.enter_context(patch.multiple(breaker, FAILURES_IN_A_ROW=requests, WINDOW_RESULTS=requests))
            stack.enter_context(patch.object(budget, "RESERVE_PER_S", 1000.0))
            for provider_name in {endpoint.provider for endpoint in proxy._health.endpoints()}:
                proxy._health.forget(provider_name)
            await _send(proxy, range(requests // 5, requests), manners, chance, ends, faults)
            await _settle(proxy, provider, before)
            after = await census()
            left_open = _open(proxy, provider)
    finally:
        log.removeHandler(errors)
    return Report(before, warm, after, ends, left_in, faults, left_open, time.monotonic() - began)


def _sections(origin: str, nobody: str) -> dict[str, object]:
    """A config: one faulty provider by several names, and routes that make something of each."""
    timeouts = {"first_byte_s": 0.3, "idle_s": 0.3, "connect_s": 2}
    up = {"base_url": f"{origin}/v1", "timeouts": timeouts, "limits": {"keepalive_s": 0.5}}
    few = {"concurrency": {"requests": 5, "waiting": 20, "wait_s": 1}}

    def route(*providers: str, **options: object) -> dict[str, object]:
        return {"endpoints": [{"provider": name, "model_id": "m"} for name in providers], **options}

    return {
        "server": {"listen": "127.0.0.1:0", "client_idle_s": 0.4},
        "providers": {
            "up": up,
            "too": up,
            "limited": up | few,
            "queue": up | few,
            "pooled": up | {"limits": {"keepalive_s": 0.5, "connections": 5, "waiting": 20}},
            "nobody": {"base_url": nobody},
        },
        "models": {
            "chain": route("nobody", "up", "too"),
            "hedged": route("up", "too", hedge_after=0.01),
            "whole": route("up", "too", delivery="whole"),
            "limited": route("limited"),
            "pooled": route("pooled"),
            "hedged queue": route("up", "queue", strategy="load_balance", hedge_after=0.01),
        },
    }


async def _send(
    proxy: Proxy,
    wanted: range,
    manners: Sequence[str],
    chance: random.Random,
    ends: Counter[str],
    faults: list[str],
) -> None:
    numbers = iter(wanted)

    async def work() -> None:
        for number in numbers:
            manner = chance.choice(manners)
            fault = chance.choice((*FAULTS, "refuse"))
            client = Client(proxy.address.host, proxy.address.port, number, fault, random.Random(number))
            try:
                ends[f"{manner}: {await client.run(manner)}"] += 1
            except Exception as error:  # noqa: BLE001 - each is told, none stops the run
                faults.append(f"a client that {manner}, of a provider with {fault}: {error!r}")

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


def under_way(proxy: Proxy) -> dict[str, float]:
    """What a proxy has that lasts as long as a request, or as its connections."""
    pools = [origin.pool for origin in proxy._upstream._origins.values()]
    limits = proxy._upstream._limits.values()
    return {
        "connections of clients": sum(len(listener._connections.open) for listener in proxy._listeners),
        "requests": len(proxy._telemetry._metrics.under_way),
        "attempts": sum(endpoint.in_flight for endpoint in proxy._health.endpoints()),
        "connections to providers": sum(pool.open for pool in pools),
        "busy connections to providers": sum(pool.busy for pool in pools),
        "requests that wait for a connection": sum(pool.waiting for pool in pools),
        "places that are taken": sum(limit.in_use for limit in limits),
        "requests that wait for a place": sum(limit.waiting for limit in limits),
    }


def _open(proxy: Proxy, provider: FaultyProvider) -> dict[str, float]:
    """What is still under way."""
    return under_way(proxy) | {"connections at the provider": provider.open}


async def _settle(proxy: Proxy, provider: FaultyProvider, before: Census) -> None:
    """Wait until nothing is under way, or for as long as the proxy's own time limits can take."""
    try:
        async with asyncio.timeout(20):
            while any(_open(proxy, provider).values()) or len(asyncio.all_tasks()) > before.tasks:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
