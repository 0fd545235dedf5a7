"""What a change would do to one route, before and after side by side."""

from collections import Counter
from typing import NamedTuple

from msgspec import UNSET

from proxy.admin.changes.shift_payloads import ShiftSide
from proxy.admin.pages.shares import Shared, shares
from proxy.admin.payloads import RouteInForce, RouteState
from proxy.routing import RouteEndpoint


class Line(NamedTuple):
    """One endpoint on one side of a comparison.

    Attributes:
        shared: the endpoint and its part.
        change: `same`, `new`, `gone` or `changed`.
    """

    shared: Shared
    change: str


class Side(NamedTuple):
    """A route on one side of a comparison; without a strategy there is none."""

    strategy: str = ""
    source: str = ""
    lines: tuple[Line, ...] = ()


class Comparison(NamedTuple):
    """A route before and after a change."""

    before: Side
    after: Side

    @property
    def changes_nothing(self) -> bool:
        """Whether requests would go the same ways."""
        strategies = {self.before.strategy, self.after.strategy}
        return len(strategies) == 1 and all(line.change == "same" for line in (*self.before.lines, *self.after.lines))


def compare(before: RouteState | None, after: RouteState | None) -> Comparison:
    """Both sides, each endpoint told as staying, leaving, coming, or getting another part."""
    return Comparison(_side(before, after, "gone"), _side(after, before, "new"))


def _side(route: RouteState | ShiftSide | None, other: RouteState | ShiftSide | None, alone: str) -> Side:
    if route is None:
        return Side()
    source = route.source if isinstance(route, RouteInForce) else "dynamic"
    # What a shift comes to in the end.
    route, other = _settled(route), None if other is None else _settled(other)
    theirs = [] if other is None else shares(other.strategy, other.endpoints)
    known = Counter((_key(each.endpoint), each.part) for each in theirs)
    names = {key for key, _ in known}
    lines = []
    for each in shares(route.strategy, route.endpoints):
        key = _key(each.endpoint)
        change = "same" if known[key, each.part] else "changed" if key in names else alone
        lines.append(Line(each, change))
    return Side(route.strategy, source, tuple(lines))


def _settled(route: RouteState | ShiftSide) -> RouteState | ShiftSide:
    return route.shift.to if isinstance(route, RouteState) and route.shift is not UNSET else route


def _key(endpoint: RouteEndpoint) -> tuple[str, str]:
    return endpoint.provider, endpoint.model_id
