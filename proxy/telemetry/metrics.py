"""What is counted of all requests, in plain numbers: names, labels and text come only once somebody asks.

A request's record costs one look-up where all went well: it gives the cell of what took the same way, and that has the
histograms and counters in which this request belongs. No set of labels grows without a bound: what a client makes up is
counted under one name, and beyond a limit everything is.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from proxy.routing import RouteSource, RoutingTarget
from proxy.telemetry.outcome import Attempt, Ending, Outcome
from proxy.wire import UNCOUNTED

UNKNOWN = "(unknown)"
"""The model of a request that has no route, whatever it asked for."""
DIRECT = "(direct)"
"""The model of a request by a direct name, and its model id: both are the client's own choice."""
OTHER = "(other)"
"""What came when there were too many others."""
ABANDONED = "abandoned"
"""What became of an attempt that was given up before it got an answer: its client left, or another answered sooner."""
MOST_CELLS = 10_000
# So few are counted together that nobody notices, and so many that what counting touches is loaded once for all.
_BATCH = 64

# In seconds. A provider takes from some milliseconds (a cache, an embedding) to minutes (a model that thinks).
BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

_Key = TypeVar("_Key", bound=Hashable)
_Cell = TypeVar("_Cell")
# A member of an enum is looked up in a tenth of the time under a name of its own.
_COMPLETE = Ending.COMPLETE
_DIRECT = RouteSource.DIRECT
_OTHER_TARGET = RoutingTarget(OTHER, OTHER)


class Histogram:
    """How many values fell between which bounds, and their sum, in seconds."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count a value."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum += seconds


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

    def count(self, attempt: Attempt) -> None:
        """Count an attempt that is over."""
        if attempt.failure is None and attempt.status:
            self.answered += 1
        else:
            result = attempt.failure or ABANDONED
            self.results[result] = self.results.get(result, 0) + 1
        if (first_byte_s := attempt.first_byte_s) is not None:
            self.first_byte.observe(first_byte_s)


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
        for outcome in over:
            self._count(outcome)
            # Records are kept for a while; what the answer said is not.
            outcome.usage = None

    def _count(self, outcome: Outcome) -> None:
        attempts, resolution, target = outcome.attempts, outcome.resolution, outcome.target
        model, is_direct = outcome.model or UNKNOWN, False
        if resolution is None:
            model = UNKNOWN
        elif resolution.source is _DIRECT:
            model, is_direct = DIRECT, True
            target = target and _nameless(target)
        way = self.ways[model, target, outcome.status]
        way.duration.observe(outcome.duration_s)
        if (ending := outcome.ending) is _COMPLETE:
            way.complete += 1
        else:
            way.endings[ending] = way.endings.get(ending, 0) + 1
        if (tokens := outcome.tokens) is not UNCOUNTED:
            way.tokens_in += tokens.input or 0
            way.tokens_out += tokens.output or 0
        if (endpoint := way.endpoint) is not None:
            endpoint.stalls += outcome.stalls
            if len(attempts) == 1:
                endpoint.count(attempts[0])
            else:
                self._count_attempts(model, attempts, is_direct=is_direct)
        if (outcome.status >= 400 or ending is not _COMPLETE) and outcome.has_failed:
            self.errors[model, "" if target is None else target.provider_name, outcome.cause].value += 1

    def _count_attempts(self, model: str, attempts: list[Attempt], *, is_direct: bool) -> None:
        before: Attempt | None = None
        for attempt in attempts:
            target = _nameless(attempt.target) if is_direct else attempt.target
            self.endpoints[target].count(attempt)
            if before is not None and before.failure is not None and before.target != attempt.target:
                self.failovers[model, before.target, attempt.target].value += 1
            before = attempt

    def _way(self, key: Way) -> WayCell:
        model, target, _ = key
        if target is None:
            return WayCell(self.durations[model, ""], None)
        return WayCell(self.durations[model, target.provider_name], self.endpoints[target])


def _nameless(target: RoutingTarget) -> RoutingTarget:
    """A target without the model id, which a client may have made up."""
    return RoutingTarget(target.provider_name, DIRECT)
