"""What we want to reach: each figure with what it must be, and what it should be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import ge, le

from benchmarks.figures import CPU_US, Cell, Cells, Key
from benchmarks.parts import bodies, capacity, changes, first_byte, memory, paced, routes, start, throughput

Finding = Callable[[Cells, str], float | None]


@dataclass(frozen=True)
class Goal:
    """One thing to reach.

    Attributes:
        title: what is looked at.
        find: its value for a peer; None if it wasn't measured, or not validly.
        must: what it has to reach.
        aim: what it should reach.
        more_is_better: whether it has to be at least that, or at most.
        unit: behind the numbers.
    """

    title: str
    find: Finding
    must: float
    aim: float
    more_is_better: bool = False
    unit: str = ""

    def verdict(self, value: float | None) -> str:
        """Whether a value reaches the goal, in words."""
        reaches = ge if self.more_is_better else le
        if value is None:
            return "not measured"
        if reaches(value, self.aim):
            return "aim reached"
        return "must reached" if reaches(value, self.must) else "**missed**"

    def bound(self, number: float) -> str:
        """The must or the aim, as text."""
        return f"{'≥' if self.more_is_better else '≤'} {number:g}{self.unit}"


def figure_of(part: str, case: str, key: str) -> Finding:
    """The figure itself."""

    def find(cells: Cells, peer: str) -> float | None:
        cell = cells.get(Key(part, case, peer))
        return cell.median(key) if cell and cell.is_valid else None

    return find


def against(reference: str, part: str, case: str, key: str) -> Finding:
    """The figure as a multiple of the reference's."""

    def find(cells: Cells, peer: str) -> float | None:
        return _ratio(cells.get(Key(part, case, peer)), cells.get(Key(part, case, reference)), key)

    return find


def over_direct(part: str, case: str, key: str) -> Finding:
    """What the figure is more than direct's."""

    def find(cells: Cells, peer: str) -> float | None:
        own, direct = figure_of(part, case, key)(cells, peer), figure_of(part, case, key)(cells, "direct")
        return None if own is None or direct is None else own - direct

    return find


def case_against_case(part: str, case: str, other: str, key: str) -> Finding:
    """The figure in one case as a multiple of the same peer's in another."""

    def find(cells: Cells, peer: str) -> float | None:
        return _ratio(cells.get(Key(part, case, peer)), cells.get(Key(part, other, peer)), key)

    return find


def _ratio(own: Cell | None, other: Cell | None, key: str) -> float | None:
    return own.ratio(other, key) if own else None


def _plain(connections: int, reference: str) -> Finding:
    return against(reference, throughput.NAME, throughput.case("plain", connections), throughput.REQUESTS_PER_S)


GOALS: Sequence[Goal] = (
    Goal("requests/s, 64 connections, x nginx", _plain(64, "nginx"), 0.45, 0.55, more_is_better=True),
    Goal("requests/s, 256 connections, x nginx", _plain(256, "nginx"), 0.45, 0.55, more_is_better=True),
    Goal("requests/s, 1 connection, x nginx", _plain(1, "nginx"), 0.6, 0.8, more_is_better=True),
    Goal("requests/s, 64 connections, x floor", _plain(64, "floor"), 2.5, 3, more_is_better=True),
    Goal(
        f"events/s at p99 lateness < {capacity.LIMIT_MS:.0f} ms, x nginx",
        against("nginx", capacity.NAME, capacity.CASE, capacity.EVENTS_PER_S),
        0.8,
        1,
        more_is_better=True,
    ),
    Goal(f"CPU per event, {paced.CASE}, x nginx", against("nginx", paced.NAME, paced.CASE, CPU_US), 1.8, 1.2),
    Goal(
        "time to first byte over direct, p50",
        over_direct(first_byte.NAME, first_byte.CASE, first_byte.P50_US),
        150,
        80,
        unit=" µs",
    ),
    Goal("memory per open stream", figure_of(memory.NAME, memory.STREAM_CASE, memory.KB_EACH), 40, 20, unit=" kB"),
    Goal("CPU per 10 MB request, x nginx", against("nginx", bodies.NAME, bodies.REQUEST_CASE, CPU_US), 3, 1.5),
    Goal(
        f"resolving among {routes.MANY:,} routes, x that among {routes.FEW} (ten names)",
        case_against_case(routes.NAME, routes.case(routes.MANY), routes.case(routes.FEW), routes.RESOLVE_NS),
        1.2,
        1.05,
    ),
    Goal(
        f"a swap among {changes.MANY:,} routes",
        figure_of(changes.NAME, changes.case("swap", changes.MANY), changes.MEDIAN_MS),
        20,
        5,
        unit=" ms",
    ),
    Goal(
        f"the first page of {changes.MANY:,} routes",
        figure_of(changes.NAME, changes.case("page", changes.MANY), changes.FIRST_MS),
        200,
        100,
        unit=" ms",
    ),
    Goal("start to the first answer", figure_of(start.NAME, start.START_CASE, start.SECS), 0.5, 0.3, unit=" s"),
)
