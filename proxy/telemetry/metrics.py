"""What is counted of all requests, in plain numbers: names, labels and text come only once somebody asks.

Records are counted some at a time, all those together that took the same way, for then most of it costs a request
nothing. No set of labels grows without a bound: what a client makes up is counted under one name, and beyond a limit
everything is.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from math import inf
from typing import Final, Generic, TypeVar

from proxy.routing import RouteSource, RoutingTarget
from proxy.telemetry.outcome import Attempt, Ending, Outcome
from proxy.wire import UNCOUNTED

UNKNOWN: Final = "(unknown)"
"""The model of a request that has no route, whatever it asked for."""
DIRECT: Final = "(direct)"
"""The model of a request by a direct name, and its model id: both are the client's own choice."""
OTHER: Final = "(other)"
"""What came when there were too many others."""
ABANDONED: Final = "abandoned"
"""What became of an attempt that was given up before it got an answer: its client left, or another answered sooner."""
MOST_CELLS = 10_000
# So few are counted together that nobody notices how long it takes, and so many that they share what it costs.
_BATCH: Final = 64

# In seconds. A provider takes from some milliseconds (a cache, an embedding) to minutes (a model that thinks).
BOUNDS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

_Key = TypeVar("_Key", bound=Hashable)
_Cell = TypeVar("_Cell")
# A member of an enum is looked up in a tenth of the time under a name of its own.
_COMPLETE: Final = Ending.COMPLETE
_DIRECT: Final = RouteSource.DIRECT
_OTHER_TARGET: Final = RoutingTarget(OTHER, OTHER)


class Histogram:
    """How many values fell between which bounds, and their sum, in seconds."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum = 0.0

    def observe(self, times_s: list[float]) -> None:
        """Count some values."""
        times_s.sort()
        before = 0
        for place, bound in enumerate((*BOUNDS_S, inf)):
            within = bisect_right(times_s, bound)
            self.counts[place] += within - before
            if within == len(times_s):
                break
            before = within
        self.sum += sum(times_s)


class EndpointCell:
    """What became of the attempts at one endpoint.

    Attributes:
        answered: attempts that went well.
        results: all others, by what became of them.
        first_byte: of each attempt that got an answer.
        stalls: how often a stream paused.
    """

    __slots__ = ("answered", "first_byte", "results", "stalls")

    def __init__(self) -> None:
        self.answered = 0
        self.results: dict[str, int] = {}
        self.first_byte = Histogram()
        self.stalls = 0

    def count(self, attempts: list[Attempt]) -> None:
        """Count attempts that are over."""
        for attempt in attempts:
            if attempt.failure is None and attempt.status:
                self.answered += 1
            else:
                result = attempt.failure or ABANDONED
                self.results[result] = self.results.get(result, 0) + 1
        self.first_byte.observe([each.first_byte_s for each in attempts if each.first_byte_s is not None])


class WayCell:
    """What became of the requests with the same model, target and status.

    Attributes:
        endings: how many ended in each way; those that are complete are in `complete`.
        tokens_in, tokens_out: tokens as their providers count them.
        duration: of all requests for the model at the provider.
        endpoint: the target's attempts; None for requests that had none.
    """

    __slots__ = ("complete", "duration", "endings", "endpoint", "tokens_in", "tokens_out")

    def __init__(self, duration: Histogram, endpoint: EndpointCell | None) -> None:
        self.complete = 0
        self.endings: dict[Ending, int] = {}
        self.tokens_in = self.tokens_out = 0
        self.duration = duration
        self.endpoint = endpoint

    def count(self, outcomes: list[Outcome]) -> None:
        """Count requests that are over."""
        self.duration.observe([outcome.duration_s for outcome in outcomes])
        for outcome in outcomes:
            if (ending := outcome.ending) is _COMPLETE:
                self.complete += 1
            else:
                self.endings[ending] = self.endings.get(ending, 0) + 1
            if (tokens := outcome.tokens) is not UNCOUNTED:
                self.tokens_in += tokens.input or 0
                self.tokens_out += tokens.output or 0
            if outcome.stalls and self.endpoint is not None:
                self.endpoint.stalls += outcome.stalls


class Cells(dict[_Key, _Cell], Generic[_Key, _Cell]):
    """Cells by their labels, so many and no more.

    Args:
        make: makes the cell of a key.
        other: the key of everything beyond the limit.
    """

    def __init__(self, make: Callable[[_Key], _Cell], other: _Key) -> None:
        super().__init__()
        self._make = make
        self._other = other

    def __missing__(self, key: _Key) -> _Cell:
        if len(self) >= MOST_CELLS and key != self._other:
            return self[self._other]
        cell = self[key] = self._make(key)
        return cell


class Count:
    """A number that grows."""

    __slots__ = ("value",)

    def __init__(self, _: Hashable = None) -> None:
        self.value = 0


Way = tuple[str, RoutingTarget | None, int]
"""A model, a target, and the status of the answer."""


class Metrics:
    """Counts requests by their records.

    Attributes:
        under_way: the records of the requests that are not over.
        ways: requests by model, target and status.
        endpoints: attempts by target.
        durations: in seconds, by model and provider.
        errors: failed requests by model, provider and cause.
        changes: accepted changes of the routing table, by what was done.
        failovers: by model, and the targets from and to which they went.
    """

    def __init__(self) -> None:
        self.under_way: set[Outcome] = set()
        self.changes: Counter[str] = Counter()
        self._over: list[Outcome] = []
        self.endpoints: Cells[RoutingTarget, EndpointCell] = Cells(lambda _: EndpointCell(), _OTHER_TARGET)
        self.durations: Cells[tuple[str, str], Histogram] = Cells(lambda _: Histogram(), (OTHER, OTHER))
        self.ways: Cells[Way, WayCell] = Cells(self._way, (OTHER, _OTHER_TARGET, 0))
        self.errors: Cells[tuple[str, str, str], Count] = Cells(Count, (OTHER, OTHER, OTHER))
        self.failovers: Cells[tuple[str, RoutingTarget, RoutingTarget], Count] = Cells(
            Count, (OTHER, _OTHER_TARGET, _OTHER_TARGET)
        )

    def add(self, outcome: Outcome) -> None:
        """Take in a request that is over; it is counted with the next ones, or when somebody asks."""
        self.under_way.discard(outcome)
        self._over.append(outcome)
        if len(self._over) >= _BATCH:
            self.settle()

    def settle(self) -> None:
        """Count all that is over: to be called before anything is read."""
        over, self._over = self._over, []
        alike: defaultdict[Way, list[Outcome]] = defaultdict(list)
        for outcome in over:
            alike[_way_of(outcome)].append(outcome)
        for way, outcomes in alike.items():
            self._count(way, outcomes)

    def _count(self, way: Way, outcomes: list[Outcome]) -> None:
        """Count requests that took the same way."""
        model, target, status = way
        cell = self.ways[way]
        cell.count(outcomes)
        if cell.endpoint is not None:
            lone = [outcome.attempts[0] for outcome in outcomes if len(outcome.attempts) == 1]
            cell.endpoint.count(lone)
            if len(lone) < len(outcomes):
                for outcome in outcomes:
                    if len(outcome.attempts) > 1:
                        self._count_attempts(model, outcome.attempts)
        provider = "" if target is None else target.provider_name
        for outcome in outcomes:
            if (outcome.ending is not _COMPLETE or status >= 400) and outcome.has_failed:
                self.errors[model, provider, outcome.cause].value += 1

    def _count_attempts(self, model: str, attempts: list[Attempt]) -> None:
        before: Attempt | None = None
        for attempt in attempts:
            self.endpoints[_nameless(attempt.target) if model is DIRECT else attempt.target].count([attempt])
            if before is not None and before.failure is not None and before.target != attempt.target:
                self.failovers[model, before.target, attempt.target].value += 1
            before = attempt

    def _way(self, key: Way) -> WayCell:
        model, target, _ = key
        if target is None:
            return WayCell(self.durations[model, ""], None)
        return WayCell(self.durations[model, target.provider_name], self.endpoints[target])


def _way_of(outcome: Outcome) -> Way:
    target = outcome.target
    if (resolution := outcome.resolution) is None:
        return UNKNOWN, target, outcome.status
    if resolution.source is _DIRECT:
        return DIRECT, target and _nameless(target), outcome.status
    return outcome.model or UNKNOWN, target, outcome.status


def _nameless(target: RoutingTarget) -> RoutingTarget:
    """A target without the model id, which a client may have made up."""
    return RoutingTarget(target.provider_name, DIRECT)
