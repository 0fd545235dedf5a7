"""An outage, from its first error to its end: what one sees, what one does, and what it costs."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import aiohttp
import msgspec

from proxy.admin.changes.payloads import Changed, Drained, ProviderList
from proxy.admin.status import Status
from proxy.app import Proxy
from proxy.demo import demo_settings, straw_providers
from proxy.rehearsal.cost import Cost, phase_of
from proxy.rehearsal.load import Load, Sample
from proxy.simulator import StrawProvider
from proxy.simulator.faults import Faults

RATE = 20.0
"""Requests a second."""

_ILL, _MODEL = "alpha", "gpt-4o"
# What a provider takes to think, so that what the machine does meanwhile hardly shows.
_WELL = Faults(latency_ms=50)
_BROKEN = Faults(latency_ms=50, error_rate=1.0, error_status=503)
# The share of the time that each phase takes. The drain comes before the breaker's first trial and the restore once its
# time is over, so that the recovery shows at once.
_BEFORE, _DURING, _DRAINED, _AFTER = 0.2, 0.16, 0.36, 0.28
_LOOK_S = 0.05
# How long a phase goes on at most for what it is about to be seen.
_PATIENCE_S = 15.0
_TIMEOUT = aiohttp.ClientTimeout(total=30)

Say = Callable[[str], None]
_Answer = TypeVar("_Answer", bound=msgspec.Struct)


async def rehearse_outage(seconds: float, say: Say) -> Cost:
    """Have a provider fail under load, drain it, let it recover, and restore it.

    Args:
        seconds: how long all of it takes; a little more where the breaker takes longer than that.
        say: told step by step what happens, a line or several each.

    Raises `OSError` if there are no free ports.
    """
    async with AsyncExitStack() as stack:
        straws = straw_providers()
        for straw in straws:
            straw.faults = _WELL
            await stack.enter_async_context(straw)
        proxy = await stack.enter_async_context(Proxy(demo_settings("127.0.0.1:0", straws)))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=_TIMEOUT))
        ill = next(straw for straw in straws if straw.name == _ILL)
        return await _Outage(f"http://{proxy.address}", ill, http, say).run(seconds)


class _Outage:
    """The story.

    Args:
        origin: of the proxy.
        ill: the provider that falls ill.
        http: for clients and operator.
        say: told what happens.
    """

    def __init__(self, origin: str, ill: StrawProvider, http: aiohttp.ClientSession, say: Say) -> None:
        self._origin = origin
        self._ill = ill
        self._http = http
        self._say = say
        # As many as the rate brings in the time that it takes.
        self._samples: list[Sample] = []

    async def run(self, seconds: float) -> Cost:
        load = Load(self._origin, _MODEL, RATE, self._http, self._samples.append)
        self._say(
            f"A proxy of its own at {self._origin}, in front of three simulated providers. Its page: "
            f"{self._origin}/admin/\nClients ask {RATE:.0f} times a second for {_MODEL}: {_ILL} first, then beta."
        )
        sending = asyncio.create_task(load.run())
        try:
            begins = [time.monotonic()]
            await asyncio.sleep(_BEFORE * seconds)
            self._say(f"All is well: {self._answers(begins[-1])}.")
            begins.append(time.monotonic())
            open_after_s = await self._break(_DURING * seconds)
            await self._drain()
            begins.append(time.monotonic())
            await self._recover(_DRAINED * seconds)
            begins.append(time.monotonic())
            await self._post("restore", Changed, {"reason": "recovered"})
            self._say(f"It is put back in service: pointsman restore {_ILL}")
            back_after_s = await self._see_it_back(begins[-1], _AFTER * seconds)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return self._cost(begins, open_after_s, back_after_s)

    async def _break(self, seconds: float) -> float | None:
        """It fails: how long it takes until the breaker is open, if that can be seen."""
        began, received = time.monotonic(), self._ill.counters.received
        self._ill.faults = _BROKEN
        self._say(f"{_ILL} breaks: it answers every request with {_BROKEN.error_status}.")
        open_after_s = None
        while (passed_s := time.monotonic() - began) < seconds or (open_after_s is None and passed_s < _PATIENCE_S):
            if open_after_s is None and await self._is_open():
                open_after_s = passed_s
                status = await self._get("status", Status)
                share = f"{(status.error_share or 0) * 100:.1f} %"
                failed = self._ill.counters.received - received
                self._say(
                    f"What one sees after {passed_s:.1f} s: {status.words}; {failed} attempts failed, and {share} of "
                    "the clients' requests.\n"
                    "Its breaker is open: requests go to beta without asking it; now and then one tries.\n"
                    f"So far: {self._answers(began)}."
                )
            await asyncio.sleep(_LOOK_S)
        return None if open_after_s is None else round(open_after_s, 2)

    async def _drain(self) -> None:
        body: dict[str, object] = {"reason": "answers with 503"}
        foreseen = await self._post("drain", Drained, {**body, "dry_run": True})
        ways = "; ".join(f"{each.model} to {', then '.join(each.goes_to)}" for each in foreseen.affected)
        stuck = ", ".join(foreseen.without_other_way) or "none"
        self._say(
            f"What a drain would do: {ways}. Models without another way: {stuck}.\n"
            f'It is drained, so that nothing tries it any more: pointsman drain {_ILL} --reason "answers with 503"\n'
            f"On the page: Providers, Drain at {_ILL}."
        )
        await self._post("drain", Drained, body)

    async def _recover(self, seconds: float) -> None:
        """Traffic has moved, and the provider gets well meanwhile."""
        began, received = time.monotonic(), self._ill.counters.received
        await asyncio.sleep(seconds / 2)
        asked = self._ill.counters.received - received
        self._say(f"Traffic has moved: {self._answers(began)}; {_ILL} was asked {asked} times.")
        self._ill.faults = _WELL
        self._say(f"{_ILL} is well again; nothing goes there yet.")
        await asyncio.sleep(seconds / 2)

    async def _see_it_back(self, restored: float, seconds: float) -> float | None:
        """How long it takes until it answers again, if that comes within the time."""
        back_after_s = None
        while (passed_s := time.monotonic() - restored) < seconds or (back_after_s is None and passed_s < _PATIENCE_S):
            if back_after_s is None and (again := self._first_answer_since(restored)) is not None:
                back_after_s = round(again - restored, 2)
                words = (await self._get("status", Status)).words
                self._say(f"It answers again, from a request {back_after_s:.1f} s after the restore on. {words}.")
            await asyncio.sleep(_LOOK_S)
        return back_after_s

    def _first_answer_since(self, moment: float) -> float | None:
        """When the first request began that it served again."""
        return next((each.began for each in self._samples if each.began >= moment and each.provider == _ILL), None)

    def _cost(self, begins: list[float], open_after_s: float | None, back_after_s: float | None) -> Cost:
        names = ("before", "broken", "drained", "restored")
        ends = [*begins[1:], float("inf")]
        phases = tuple(
            phase_of(name, [each for each in self._samples if begin <= each.began < end])
            for name, begin, end in zip(names, begins, ends, strict=True)
        )
        return Cost(phases, open_after_s, back_after_s, ok=not any(phase.failed for phase in phases[2:]))

    def _answers(self, since: float) -> str:
        """How the requests since then went."""
        phase = phase_of("", [each for each in self._samples if each.began >= since])
        served = ", ".join(f"{count} by {name}" for name, count in phase.served_by.items()) or "none yet"
        return f"{phase.requests} requests, {phase.failed} failed; answered: {served}"

    async def _is_open(self) -> bool:
        providers = await self._get("providers", ProviderList)
        return any(
            endpoint.state == "open" for each in providers.providers if each.name == _ILL for endpoint in each.endpoints
        )

    async def _get(self, path: str, kind: type[_Answer]) -> _Answer:
        async with self._http.get(f"{self._origin}/admin/{path}") as response:
            return msgspec.json.decode(await response.read(), type=kind)

    async def _post(self, action: str, kind: type[_Answer], body: dict[str, object]) -> _Answer:
        async with self._http.post(f"{self._origin}/admin/providers/{_ILL}/{action}", json=body) as response:
            return msgspec.json.decode(await response.read(), type=kind)
