"""Hedging: asking a second target while the first is slow, and taking the answer that comes first."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine

from proxy.config import HedgeAfter
from proxy.gateway.exchange import Exchange

# Enough to tell a route's slowest twentieth, few enough to follow what changes.
_KEPT = 100
_NEEDED = 20
_MODELS_KEPT = 10_000

Asking = Coroutine[None, None, Exchange]


class HedgeDelays:
    """How long to wait before a route's next target is asked as well, learnt from its own times to first byte."""

    def __init__(self) -> None:
        self._seen_s: dict[str, deque[float]] = {}

    def delay_s(self, model: str, after: float | HedgeAfter) -> float | None:
        """Seconds to wait; None while too little is known of the route."""
        if not isinstance(after, HedgeAfter):
            return after
        seen_s = sorted(self._seen_s.get(model, ()))
        return seen_s[int(len(seen_s) * 0.95)] if len(seen_s) >= _NEEDED else None

    def note(self, model: str, first_byte_s: float) -> None:
        """Take note of how long a request of this route took."""
        if model not in self._seen_s and len(self._seen_s) >= _MODELS_KEPT:
            self._seen_s.clear()
        self._seen_s.setdefault(model, deque(maxlen=_KEPT)).append(first_byte_s)


async def hedged(first: Asking, delay_s: float | None, second: Callable[[], Asking | None]) -> Exchange:
    """The first good reply of one attempt and, should it take longer than `delay_s`, another; the loser is closed.

    If neither is good, what the later of them to fail gave or raised.
    """
    tasks = [asyncio.create_task(first)]
    try:
        done, pending = await asyncio.wait(tasks, timeout=delay_s)
        if not done and (asking := second()) is not None:
            tasks.append(asyncio.create_task(asking))
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        while not any(map(_is_good, done)) and pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        chosen = next(filter(_is_good, done), None) or done.pop()
        tasks.remove(chosen)
        return chosen.result()
    finally:
        # Without an await: the client may leave in that very moment, and the chosen reply would be nobody's.
        for task in tasks:
            task.cancel()
            task.add_done_callback(_close)


def _is_good(task: asyncio.Task[Exchange]) -> bool:
    return task.exception() is None and task.result().failure is None


def _close(task: asyncio.Task[Exchange]) -> None:
    """Give up an attempt that nobody waits for any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
