"""The run itself: constant load on a route with two providers, the first of which goes out and comes back."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from statistics import median, quantiles
from typing import NamedTuple

import aiohttp

from proxy.app import Proxy
from proxy.config import settings_from
from proxy.rehearsal.load import Load
from proxy.routing import RoutingTarget
from proxy.simulator import StrawProvider
from proxy.simulator.faults import Faults
from proxy.upstream.breaker import BreakerState

# What a provider takes to think, so that what the machine does meanwhile hardly shows.
LATENCY_MS = 50.0
# So many answers one after the other from the first provider: it has its traffic back.
_BACK = 20
_WELL = Faults(latency_ms=LATENCY_MS)


async def _fall_ill(provider: StrawProvider, faults: Faults) -> None:
    provider.faults = faults


OUTAGES: dict[str, Callable[[StrawProvider], Awaitable[None]]] = {
    "errors": lambda provider: _fall_ill(provider, Faults(latency_ms=LATENCY_MS, error_rate=1.0)),
    "resets": lambda provider: _fall_ill(provider, Faults(latency_ms=LATENCY_MS, reset_before_head=True)),
    "nobody listens": lambda provider: provider.stop(),
}
"""What becomes of the first provider."""


async def _recover(provider: StrawProvider, outage: str) -> None:
    if outage == "nobody listens":
        await provider.start()
    provider.faults = _WELL


class Sample(NamedTuple):
    """What became of one request.

    Attributes:
        is_open: whether the first provider's breaker was when the request began.
        first_byte_s: from the request to the first content of its stream, up to which it is held back.
        provider: who served it.
        fault: what was wrong with the answer; None if it was whole.
    """

    is_open: bool
    first_byte_s: float
    provider: str
    fault: str | None


class Report(NamedTuple):
    """How a run went.

    Attributes:
        before: the requests before the outage.
        during: those that began within it.
        after: those that began behind it.
        received: what came to both providers, the first one first.
        seconds: how long all of it took.
        back_s: from the end of the outage to the first of the answers that all came from the first provider again.
    """

    before: list[Sample]
    during: list[Sample]
    after: list[Sample]
    received: tuple[int, int]
    seconds: float
    back_s: float

    @property
    def sent(self) -> int:
        """The clients' requests."""
        return len(self.before) + len(self.during) + len(self.after)

    @property
    def failed(self) -> list[str]:
        """What was wrong with those that failed."""
        return [each.fault for each in (*self.before, *self.during, *self.after) if each.fault is not None]

    @property
    def while_open_s(self) -> list[float]:
        """Times to first byte of the requests that began while the breaker was open, in order of size."""
        return sorted(each.first_byte_s for each in (*self.during, *self.after) if each.is_open)

    @property
    def normal_s(self) -> list[float]:
        """Times to first byte before the outage, in order of size."""
        return sorted(each.first_byte_s for each in self.before)

    @property
    def allowed(self) -> float:
        """How many requests the providers may get: a fifth more, and the budget's reserve."""
        return self.sent * 1.2 + 10 * self.seconds + 10


class _Load(Load):
    """Constant load that knows how the first provider is.

    Attributes:
        samples: what became of those that are over.
        back: set once the first provider has its traffic back; may be cleared.
    """

    def __init__(self, proxy: Proxy, rate: float, http: aiohttp.ClientSession) -> None:
        super().__init__(f"http://{proxy.address}", "m", rate, http, lambda _: None)
        self._first = proxy._health.of(RoutingTarget("first", "x"))
        self._latest: deque[str] = deque(maxlen=_BACK)
        self.samples: list[Sample] = []
        self.back = asyncio.Event()

    def forget_latest(self) -> None:
        """Only what is answered from now on counts for `back`."""
        self._latest.clear()
        self.back.clear()

    def take(self) -> list[Sample]:
        """The samples since the last call."""
        taken, self.samples = self.samples, []
        return taken

    async def ask(self) -> None:
        is_open = self._first.state is BreakerState.OPEN
        sample = await self.send()
        self.samples.append(Sample(is_open, sample.first_content_s, sample.provider, sample.fault))
        self._latest.append(sample.provider)
        if self._latest.count("first") == _BACK:
            self.back.set()


async def run(outage: str, before_s: float, out_s: float, back_within_s: float, rate: float) -> Report:
    """Have the first provider go out.

    Args:
        outage: which of `OUTAGES`.
        before_s: how long all is well first.
        out_s: how long the outage lasts.
        back_within_s: how long to wait for the first provider's traffic to return; raises `TimeoutError` beyond it.
        rate: requests a second.
    """
    async with StrawProvider("first", token_delay_s=0) as first, StrawProvider("second", token_delay_s=0) as second:
        first.faults = second.faults = _WELL
        sections = {
            "server": {"listen": "127.0.0.1:0"},
            "providers": {each.name: {"base_url": each.base_url} for each in (first, second)},
            "models": {"m": {"endpoints": [{"provider": each, "model_id": "x"} for each in ("first", "second")]}},
        }
        async with Proxy(settings_from(sections)) as proxy, aiohttp.ClientSession() as http:
            load = _Load(proxy, rate, http)
            began = time.monotonic()
            sending = asyncio.create_task(load.run())
            try:
                await asyncio.sleep(before_s)
                before = load.take()
                await OUTAGES[outage](first)
                await asyncio.sleep(out_s)
                during = load.take()
                await _recover(first, outage)
                load.forget_latest()
                well = time.monotonic()
                async with asyncio.timeout(back_within_s):
                    await load.back.wait()
                back_s = time.monotonic() - well - _BACK / rate
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            after = load.take()
            received = (first.counters.received, second.counters.received)
            return Report(before, during, after, received, time.monotonic() - began, back_s)


def percentile_ms(sorted_s: list[float], percent: int) -> float:
    """A percentile in milliseconds."""
    if percent == 50:
        return median(sorted_s) * 1000
    return quantiles(sorted_s, n=100)[percent - 1] * 1000
