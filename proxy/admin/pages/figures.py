"""What a page shows of the traffic when it is made: the figures that JavaScript then keeps up to date."""

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from aiohttp import web

from proxy.admin.keys import TELEMETRY
from proxy.telemetry import Outcome, RequestFilter

_MOST_REQUESTS = 1000


class Figures(NamedTuple):
    """A route's traffic in the last minute, or since the oldest request that is kept.

    Attributes:
        per_s: requests.
        error_share: of those, how many failed; None without any.
        p95_ms: the time to first byte that 95 of 100 stayed below; None if none is known.
    """

    per_s: float = 0.0
    error_share: float | None = None
    p95_ms: float | None = None


def figures_by_model(request: web.Request) -> dict[str, Figures]:
    """The figures of every model that has any traffic."""
    recent = request.app[TELEMETRY].recent
    window_s = recent.pace().window_s
    since = time.monotonic() - window_s
    latest = recent.newest(RequestFilter(), _MOST_REQUESTS)
    by_model: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in latest:
        if outcome.model is not None and outcome.ended > since:
            by_model[outcome.model].append(outcome)
    return {model: _figures(outcomes, window_s) for model, outcomes in by_model.items()}


def _figures(outcomes: list[Outcome], window_s: float) -> Figures:
    failed = sum(outcome.has_failed for outcome in outcomes)
    return Figures(len(outcomes) / window_s, failed / len(outcomes), _p95_ms(outcomes))


def _p95_ms(outcomes: Iterable[Outcome]) -> float | None:
    times = sorted(outcome.first_byte_s for outcome in outcomes if outcome.first_byte_s is not None)
    return times[int(len(times) * 0.95)] * 1000 if times else None
