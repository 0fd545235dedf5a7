"""What is known of mirrored requests: the primary's answers and the candidate's, side by side."""

from collections import deque

import msgspec

from proxy.config import Shadow
from proxy.telemetry.outcome import Attempt

_TIMES_KEPT = 1000
_MOST_CAUSES = 50
_PARTS = 10_000


class ShadowSide(msgspec.Struct, frozen=True):
    """How one side answered the same requests.

    Attributes:
        requests: those that are over and tell something.
        failed: of these: no whole answer, or a status of 400 and more.
        ttfb_p50_ms, ttfb_p95_ms: to the first byte, of the latest that went well; null without any.
        causes: why the failed ones did, with how many.
    """

    requests: int
    failed: int
    error_share: float | None
    ttfb_p50_ms: float | None
    ttfb_p95_ms: float | None
    causes: dict[str, int]


class ShadowFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate beside the route that it shadows, since its shadow is what it is.

    Attributes:
        mirrored: requests that were sent to the candidate as well.
        under_way: of these.
        dropped: requests that were not, since too many were under way.
        left_alone: requests that were not, since the candidate's own breaker was open, or it can't be asked so.
        state: of that breaker.
    """

    provider: str
    model_id: str
    share: float
    mirrored: int
    under_way: int
    dropped: int
    left_alone: int
    state: str
    primary: ShadowSide
    candidate: ShadowSide


class _Side:
    def __init__(self) -> None:
        self._requests = self._failed = 0
        self._first_bytes_s: deque[float] = deque(maxlen=_TIMES_KEPT)
        self._causes: dict[str, int] = {}

    def note(self, first_byte_s: float | None, cause: str | None) -> None:
        self._requests += 1
        if cause is not None:
            self._failed += 1
            if cause in self._causes or len(self._causes) < _MOST_CAUSES:
                self._causes[cause] = self._causes.get(cause, 0) + 1
        elif first_byte_s is not None:
            self._first_bytes_s.append(first_byte_s)

    def figures(self) -> ShadowSide:
        share = round(self._failed / self._requests, 4) if self._requests else None
        times = sorted(self._first_bytes_s)
        p50, p95 = (_percentile_ms(times, percent) for percent in (50, 95))
        return ShadowSide(self._requests, self._failed, share, p50, p95, dict(self._causes))


class ShadowRecord:
    """What one route's shadow has come to.

    Args:
        shadow: the candidate.

    Attributes:
        mirrored, under_way, dropped, left_alone: see `ShadowFigures`.
    """

    def __init__(self, shadow: Shadow) -> None:
        self.shadow = shadow
        self.mirrored = self.under_way = self.dropped = self.left_alone = 0
        self._turns = 0
        self._parts = round(shadow.share * _PARTS)
        self._primary = _Side()
        self._candidate = _Side()

    def is_turn(self) -> bool:
        """Whether the next request is one of the share, which is exact and even."""
        done = self._turns * self._parts
        self._turns += 1
        return (done + self._parts) // _PARTS > done // _PARTS

    def note_primary(self, attempt: Attempt) -> None:
        """Take in what became of the first attempt at the route itself."""
        cause = attempt.failure or (f"status {attempt.status}" if attempt.status >= 400 else None)
        self._primary.note(attempt.first_byte_s, cause)

    def note_candidate(self, first_byte_s: float | None, cause: str | None) -> None:
        """Take in what became of a mirrored request; `cause` is why it failed, if it did."""
        self._candidate.note(first_byte_s, cause)

    def figures(self, state: str) -> ShadowFigures:
        """All of it; `state` is that of the candidate's breaker."""
        return ShadowFigures(
            provider=self.shadow.provider,
            model_id=self.shadow.model_id,
            share=self.shadow.share,
            mirrored=self.mirrored,
            under_way=self.under_way,
            dropped=self.dropped,
            left_alone=self.left_alone,
            state=state,
            primary=self._primary.figures(),
            candidate=self._candidate.figures(),
        )


def _percentile_ms(times: list[float], percent: int) -> float | None:
    return round(times[-(-len(times) * percent // 100) - 1] * 1000, 1) if times else None
