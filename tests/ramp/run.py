"""The run itself: a shift under constant load, whose new endpoint is sick from the start or falls ill on the way."""

import asyncio
import time
from typing import NamedTuple

import aiohttp

from proxy.app import Proxy
from proxy.config import settings_from
from proxy.rehearsal.load import Load, Sample
from proxy.routing import Change
from proxy.simulator import StrawProvider
from proxy.simulator.faults import Faults

_LATENCY_MS = 20.0
_WELL = Faults(latency_ms=_LATENCY_MS)

SICKNESSES = {
    "a third fails": Faults(latency_ms=_LATENCY_MS, error_rate=0.33),
    "all fail": Faults(latency_ms=_LATENCY_MS, error_rate=1.0),
    "resets": Faults(latency_ms=_LATENCY_MS, reset_before_head=True),
    "slow": Faults(latency_ms=1_500),
}
"""What becomes of the new endpoint."""


class Report(NamedTuple):
    """How a run went.

    Attributes:
        sent: requests that began while the new endpoint was sick and had a share.
        failed: what was wrong with those that failed.
        windows: guard windows from the sickness to the way back.
        share: percent of the requests that the new endpoint had by then.
        reason: why the shift took itself back.
    """

    sent: int
    failed: list[str]
    windows: float
    share: float
    reason: str


async def run(sickness: str, rate: float, window_s: float, *, is_sick_at_first: bool, within_s: float = 60) -> Report:
    """Shift to an endpoint that is sick, or falls ill at the second step.

    Args:
        sickness: which of `SICKNESSES`.
        rate: requests a second.
        window_s: the guard's.
        is_sick_at_first: whether it is sick from the start.
        within_s: how long to wait for the way back; raises `TimeoutError` beyond it.
    """
    async with StrawProvider("old", token_delay_s=0) as old, StrawProvider("new", token_delay_s=0) as new:
        old.faults = _WELL
        new.faults = SICKNESSES[sickness] if is_sick_at_first else _WELL
        sections = {
            "server": {"listen": "127.0.0.1:0", "access_log": "off"},
            "providers": {each.name: {"base_url": each.base_url} for each in (old, new)},
            "models": {"m": {"endpoints": [{"provider": "old", "model_id": "x"}]}},
        }
        changes: asyncio.Queue[tuple[float, Change]] = asyncio.Queue()
        async with Proxy(settings_from(sections)) as proxy, aiohttp.ClientSession() as http:
            proxy.table.subscribe(lambda change: changes.put_nowait((time.monotonic(), change)))
            samples: list[Sample] = []
            load = Load(f"http://{proxy.address}", "m", rate, http, samples.append)
            sending = asyncio.create_task(load.run())
            try:
                async with asyncio.timeout(within_s):
                    body = {
                        "model": "m",
                        "endpoints": [{"provider": "new", "model_id": "x"}],
                        "shift": {
                            "steps": [10, 25, 100],
                            "every_s": window_s * (3 if not is_sick_at_first else 100),
                            "guard": {"window_s": window_s},
                        },
                    }
                    async with http.post(f"http://{proxy.address}/admin/routes", json=body) as answer:
                        assert answer.status == 200, await answer.text()
                    fell_ill, begun = await changes.get()
                    share = _share(begun)
                    if not is_sick_at_first:
                        _, stepped = await changes.get()
                        share = _share(stepped)
                        new.faults = SICKNESSES[sickness]
                        fell_ill = time.monotonic()
                    back, change = await changes.get()
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        concerned = [sample.fault for sample in samples if fell_ill <= sample.began <= back]
        failed = [fault for fault in concerned if fault is not None]
        return Report(len(concerned), failed, (back - fell_ill) / window_s, share, change.cause.reason)


def _share(change: Change) -> float:
    after = change.routes[0].after
    return after.shift.share if after is not None and after.shift is not None else 0.0
