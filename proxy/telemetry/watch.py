"""Watching what becomes of the attempts at some endpoints, from one moment on."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from proxy.errors import Failure
from proxy.telemetry.metrics import ABANDONED, EndpointCell, Metrics
from proxy.telemetry.outcome import Attempt, Outcome
from proxy.telemetry.recent import Recent

# Enough for a percentile; more of them would only fill the memory.
_MOST_TIMES = 10_000
# What tells nothing of an endpoint: its client left, asked for too much, or our own limit held it back.
_NOT_ITS_OWN = frozenset({ABANDONED, Failure.CONTEXT_LENGTH, Failure.BUSY})


class Watched(NamedTuple):
    """What became of the attempts.

    Attributes:
        attempts: those that are over and tell something of the endpoints.
        failed: of these.
        first_bytes_s: seconds to the first byte of those that went well, or of the latest of very many.
        waiting_s: for how long those that are under way have waited for theirs.
    """

    attempts: int
    failed: int
    first_bytes_s: list[float]
    waiting_s: list[float]


class Watch:
    """Watches endpoints, from its making on.

    Args:
        metrics: count the attempts.
        recent: keeps the latest requests, from which times to first byte are taken as they are.
        endpoints: provider and model id of each.
    """

    def __init__(self, metrics: Metrics, recent: Recent, endpoints: Collection[tuple[str, str]]) -> None:
        self._metrics = metrics
        self._recent = recent
        self._endpoints = frozenset(endpoints)
        self._last: Outcome | None = recent.last
        self._first_bytes_s: list[float] = []
        self._before = self._counts()

    def read(self, now: float) -> Watched:
        """What has become of the attempts that ended since it was made.

        Args:
            now: the time by the monotonic clock, in seconds.
        """
        last = self._recent.last
        for outcome in self._recent.since(self._last):
            self._first_bytes_s += (
                attempt.first_byte_s
                for attempt in self._own(outcome)
                if attempt.first_byte_s is not None and attempt.failure is None
            )
        self._last = last
        del self._first_bytes_s[:-_MOST_TIMES]
        answered, failed = (now - before for now, before in zip(self._counts(), self._before, strict=True))
        waiting_s = [
            now - attempt.started
            for outcome in self._metrics.under_way
            for attempt in self._own(outcome)
            if attempt.first_byte_s is None and attempt.duration_s is None
        ]
        return Watched(answered + failed, failed, self._first_bytes_s, waiting_s)

    def _own(self, outcome: Outcome) -> Iterator[Attempt]:
        for attempt in outcome.attempts:
            if (attempt.target.provider_name, attempt.target.model_id) in self._endpoints:
                yield attempt

    def _counts(self) -> tuple[int, int]:
        """All attempts so far: how many went well, and how many failed."""
        self._metrics.settle()
        cells = [
            cell
            for target, cell in self._metrics.endpoints.items()
            if (target.provider_name, target.model_id) in self._endpoints
        ]
        return sum(cell.answered for cell in cells), sum(map(_failed, cells))


def _failed(cell: EndpointCell) -> int:
    return sum(count for result, count in cell.results.items() if result not in _NOT_ITS_OWN)
