"""Whether the new endpoints of a shift do worse than the old ones. Pure: readings go in, a judgement comes out."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from proxy.admin.changes.shift_payloads import Judgement, SideFigures
from proxy.routing import ShiftGuard


class Watched(Protocol):
    """What became of the attempts at some endpoints since somebody began to watch them."""

    @property
    def attempts(self) -> int:
        """Those that are over and tell something of the endpoints."""
        ...

    @property
    def failed(self) -> int:
        """Of these."""
        ...

    @property
    def first_bytes_s(self) -> Sequence[float]:
        """Seconds to the first byte of those that went well."""
        ...

    @property
    def waiting_s(self) -> Sequence[float]:
        """How long those that are under way have waited for theirs."""
        ...


class Watch(Protocol):
    """Watches some endpoints."""

    def read(self, now: float) -> Watched:
        """What has become of the attempts so far; `now` is by the monotonic clock."""
        ...


Watching = Callable[[Collection[tuple[str, str]]], Watch]
"""Begins to watch endpoints, each a provider and a model id."""


class _Nothing(NamedTuple):
    """Nothing has become of any attempts, so far as is known."""

    attempts: int = 0
    failed: int = 0
    first_bytes_s: tuple[float, ...] = ()
    waiting_s: tuple[float, ...] = ()

    def read(self, now: float) -> "_Nothing":  # noqa: ARG002
        return self


NOTHING_WATCHED: Watching = lambda _: _Nothing()  # noqa: E731


def judge(
    guard: ShiftGuard, new: Watched, old: Watched, out_new: tuple[str, ...], out_old: tuple[str, ...], at: float
) -> Judgement:
    """Compare both sides.

    An open breaker tells by itself: nobody asks such an endpoint, so that there is nothing to count.

    Args:
        guard: how much worse the new side may do.
        new: what became of the attempts at the endpoints that only the new route has.
        old: the same for the old route.
        out_new: the new ones whose breaker is open.
        out_old: the old ones, if the breakers of all of them are.
        at: now, in seconds since the epoch.
    """
    enough = guard.min_attempts
    old_p95 = _p95(old.first_bytes_s) if len(old.first_bytes_s) >= enough else None
    limit_s = None if old_p95 is None else guard.ttfb_factor * old_p95 + guard.ttfb_slack_s
    # Who waits longer than that already need not have an answer to tell.
    overdue = [] if limit_s is None else [waiting_s for waiting_s in new.waiting_s if waiting_s > limit_s]
    times = [*new.first_bytes_s, *overdue]
    new_p95 = _p95(times) if len(times) >= enough else None
    new_share, old_share = _share(new, enough), _share(old, enough)

    def judgement(message: str, *, worse: bool) -> Judgement:
        return Judgement(
            datetime.fromtimestamp(at, UTC),
            worse,
            message,
            SideFigures(new.attempts, new.failed, new_share, _rounded(new_p95), len(overdue), out_new),
            SideFigures(old.attempts, old.failed, old_share, _rounded(old_p95), 0, out_old),
        )

    if out_old:
        return judgement(f"The old route is out of service ({_named(out_old)}): nothing is worse.", worse=False)
    if out_new:
        return judgement(f"{_named(out_new)} is out of service: the breaker has opened.", worse=True)
    if new_share is not None and new_share > (old_share or 0.0) + guard.error_margin:
        message = (
            f"{new.failed} of {new.attempts} attempts at the new endpoints failed ({new_share:.1%}), "
            f"{old.failed} of {old.attempts} at the old ones; the margin is {guard.error_margin * 100:g} points."
        )
        return judgement(message, worse=True)
    if new_p95 is not None and old_p95 is not None and limit_s is not None and new_p95 > limit_s:
        message = (
            f"The p95 time to first byte of the new endpoints is {new_p95:.2f} s or more, "
            f"that of the old ones {old_p95:.2f} s; the limit is {limit_s:.2f} s."
        )
        return judgement(message, worse=True)
    if new_share is None and new_p95 is None:
        return judgement(f"Too few attempts at the new endpoints to tell: {new.attempts} of {enough}.", worse=False)
    return judgement("The new endpoints do no worse than the margin allows.", worse=False)


def _share(side: Watched, enough: int) -> float | None:
    return round(side.failed / side.attempts, 4) if side.attempts >= enough else None


def _p95(values: Sequence[float]) -> float:
    """The smallest value that 95 in 100 don't exceed."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


def _named(endpoints: tuple[str, ...]) -> str:
    return ", ".join(f"`{endpoint}`" for endpoint in endpoints[:3])
