"""What is said of shifts: a route that takes over from another bit by bit."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import Meta

from proxy.admin.moments import Moment
from proxy.routing import RouteEndpoint, ShiftGuard

Percent = Annotated[float, Meta(ge=0.01, le=100)]
StepTime = Annotated[float, Meta(gt=0, le=30 * 86_400)]
USUAL_WINDOW_S = 10.0


class GuardBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a shift takes itself back; see `ShiftGuard`. The window is as long as a step at most."""

    window_s: Annotated[float, Meta(gt=0, le=3600)] | None = None
    min_attempts: Annotated[int, Meta(ge=1, le=10_000)] = 20
    error_margin: Annotated[float, Meta(ge=0, le=1)] = 0.05
    ttfb_factor: Annotated[float, Meta(ge=1, le=1000)] = 2.0
    ttfb_slack_s: Annotated[float, Meta(ge=0, le=3600)] = 0.5


class ShiftBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a route is to take over from the one in force; `guard` null: whatever happens."""

    steps: Annotated[tuple[Percent, ...], Meta(min_length=1, max_length=50)]
    every_s: StepTime
    guard: GuardBody | None = GuardBody()


class SideFigures(msgspec.Struct, frozen=True):
    """What became of the attempts at one side's own endpoints in a window; null where there were too few to tell.

    Attributes:
        waiting: attempts that have waited longer for their first byte than the guard allows.
        out_of_service: endpoints whose breaker is open.
    """

    attempts: int
    failed: int
    error_share: float | None
    p95_ttfb_s: float | None
    waiting: int = 0
    out_of_service: tuple[str, ...] = ()


class Judgement(msgspec.Struct, frozen=True):
    """What the guard made of the last window it looked at: `worse` ends the shift; `message` says why, or why not."""

    at: Moment
    worse: bool
    message: str
    new: SideFigures
    old: SideFigures


NONE_JUDGED: Mapping[str, Judgement] = MappingProxyType({})
"""Nothing shifts."""


class ShiftSide(msgspec.Struct, frozen=True):
    """One of the two routes of a shift."""

    strategy: str
    endpoints: tuple[RouteEndpoint, ...]


class ShiftState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a shift has come.

    Attributes:
        state: `running` or `paused`.
        share: percent of the requests that go to the new route.
        step: the position in `steps` of the one in force.
        next_at: when the next is due; null while it is paused.
        started_by: who began it.
        judgement: the guard's latest; null before the first, and in the history.
    """

    state: str
    share: float
    step: int
    steps: tuple[float, ...]
    every_s: float
    next_at: Moment | None
    started_by: str
    to: ShiftSide
    old: ShiftSide
    guard: ShiftGuard | None
    judgement: Judgement | None = None
