"""What goes on now: for each route and endpoint with traffic, how much there was since the last look.

Counts are exact: they are how much the metrics' cells have grown. Times to first byte are those of the requests that
are kept (`recent.py`), so of the latest thousand at most. A request counts once it is over.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import sub
from typing import Generic, NamedTuple, TypeVar

import msgspec

from proxy.routing import RouteSource, RoutingTarget
from proxy.telemetry.metrics import ABANDONED, DIRECT, UNKNOWN, EndpointCell, Metrics, WayCell
from proxy.telemetry.outcome import Attempt, Outcome
from proxy.telemetry.readings import EndpointReading
from proxy.telemetry.recent import Recent

MOST_ROWS = 500
"""Routes, and endpoints, in one reading: the busiest."""

_Key = TypeVar("_Key")
_Counts = tuple[int, ...]
_Endpoint = tuple[str, str]


class Reading(msgspec.Struct, kw_only=True):
    """What went on.

    Attributes:
        requests_per_s: requests that ended; of an endpoint, attempts.
        error_share: of those that ended in an answer or a failure, the failed ones; None if there were none.
        first_byte_p50_ms, first_byte_p95_ms: from a request's arrival, or an attempt's start, to the head of the
            answer; None if none is known.
        in_flight: under way now.
        tokens_per_s: input and output together, of the requests that ended.
    """

    requests_per_s: float = 0.0
    error_share: float | None = None
    first_byte_p50_ms: float | None = None
    first_byte_p95_ms: float | None = None
    in_flight: int = 0
    tokens_per_s: float = 0.0


class RouteReading(Reading, kw_only=True):
    """One route; `(unknown)` and `(direct)` are the requests without one."""

    model: str


class EndpointLive(Reading, kw_only=True):
    """One endpoint, with the state of its breaker."""

    provider: str
    model_id: str
    state: str = "closed"


class LiveReading(msgspec.Struct, kw_only=True):
    """All of it.

    Attributes:
        window_s: the time since the last look, in seconds.
        routes, endpoints: those with traffic or anything under way, and endpoints that are out of service; the busiest
            first, and `MOST_ROWS` of each at most.
        left_out: how many more there are.
    """

    window_s: float
    total: Reading
    routes: list[RouteReading]
    endpoints: list[EndpointLive]
    left_out: int


class _Growth(Generic[_Key]):
    """By how much counts have grown since the last look."""

    def __init__(self) -> None:
        self._seen: dict[_Key, _Counts] = {}

    def of(self, counts: Iterable[tuple[_Key, _Counts]]) -> Iterator[tuple[_Key, _Counts]]:
        """Those that have grown."""
        for key, now in counts:
            before = self._seen.get(key)
            if before != now:
                self._seen[key] = now
                yield key, now if before is None else tuple(map(sub, now, before))


class _Row:
    """What is gathered of one route or endpoint."""

    __slots__ = ("ended", "failed", "first_bytes_s", "in_flight", "tokens", "well")

    def __init__(self) -> None:
        self.ended = self.well = self.failed = self.tokens = self.in_flight = 0
        self.first_bytes_s: list[float] = []

    def fill(self, reading: Reading, window_s: float) -> None:
        times = sorted(self.first_bytes_s)
        reading.requests_per_s = round(self.ended / window_s, 2)
        reading.error_share = round(self.failed / judged, 4) if (judged := self.well + self.failed) else None
        reading.first_byte_p50_ms = _percentile_ms(times, 0.5)
        reading.first_byte_p95_ms = _percentile_ms(times, 0.95)
        reading.in_flight = self.in_flight
        reading.tokens_per_s = round(self.tokens / window_s, 1)


class Meter:
    """Reads what goes on, each time since the time before.

    Args:
        metrics: counts requests.
        recent: keeps the latest.
        endpoints: the health of each endpoint that has been asked.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        metrics: Metrics,
        recent: Recent,
        endpoints: Callable[[], Iterable[EndpointReading]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._recent = recent
        self._endpoints = endpoints
        self._clock = clock
        self._ways: _Growth[tuple[str, RoutingTarget | None, int]] = _Growth()
        self._errors: _Growth[tuple[str, str, str]] = _Growth()
        self._attempts: _Growth[RoutingTarget] = _Growth()
        self._at = clock()
        self._last: Outcome | None = None

    async def read(self) -> LiveReading:
        """What went on since the last time, gathered in a thread: there may be much. The first time, since ever."""
        metrics = self._metrics
        metrics.settle()
        # In one step, so that what is counted and what is timed are the same requests.
        seen = _Seen(
            [(key, _of_way(way)) for key, way in metrics.ways.items()],
            [(key, (count.value,)) for key, count in metrics.errors.items()],
            [(target, _of_endpoint(cell)) for target, cell in metrics.endpoints.items()],
            self._recent.since(self._last),
        )
        self._last = seen.fresh[0] if seen.fresh else self._last
        return await asyncio.to_thread(self._read, seen)

    def _read(self, seen: "_Seen") -> LiveReading:
        # Requests go on meanwhile: whatever else grows is copied in one step before it is gone through.
        now = self._clock()
        window_s, self._at = max(now - self._at, 0.001), now
        total = _Row()
        routes: defaultdict[str, _Row] = defaultdict(_Row)
        endpoints: defaultdict[_Endpoint, _Row] = defaultdict(_Row)
        self._add_counts(seen, total, routes, endpoints)
        _add_first_bytes(seen.fresh, total, routes, endpoints)
        self._add_in_flight(total, routes, endpoints)
        # At most as many as `upstream/health.py` knows.
        states = {(each.provider, each.model_id): str(each.state) for each in self._endpoints()}
        for name, state in states.items():
            if state != "closed":
                # Shown whether or not anything went there.
                endpoints.setdefault(name, _Row())
        reading = LiveReading(
            window_s=round(window_s, 3),
            total=Reading(),
            routes=[RouteReading(model=model) for model in _busiest(routes)],
            endpoints=[
                EndpointLive(provider=provider, model_id=model_id, state=states.get((provider, model_id), "closed"))
                for provider, model_id in _busiest(endpoints)
            ],
            left_out=max(len(routes) - MOST_ROWS, 0) + max(len(endpoints) - MOST_ROWS, 0),
        )
        total.fill(reading.total, window_s)
        for route in reading.routes:
            routes[route.model].fill(route, window_s)
        for endpoint in reading.endpoints:
            endpoints[endpoint.provider, endpoint.model_id].fill(endpoint, window_s)
        return reading

    def _add_counts(
        self, seen: "_Seen", total: _Row, routes: defaultdict[str, _Row], endpoints: defaultdict[_Endpoint, _Row]
    ) -> None:
        for (model, target, _), (ended, tokens) in self._ways.of(seen.ways):
            for row in (total, routes[model]):
                row.ended += ended
                row.well += ended
                row.tokens += tokens
            if target is not None:
                endpoints[_name(target)].tokens += tokens
        for (model, _, _), (failed,) in self._errors.of(seen.errors):
            for row in (total, routes[model]):
                row.failed += failed
                row.well -= failed
        for target, (well, failed, abandoned) in self._attempts.of(seen.attempts):
            row = endpoints[_name(target)]
            row.ended += well + failed + abandoned
            row.well += well
            row.failed += failed

    def _add_in_flight(
        self, total: _Row, routes: defaultdict[str, _Row], endpoints: defaultdict[_Endpoint, _Row]
    ) -> None:
        total.in_flight = len(self._metrics.under_way)
        for outcome in list(self._metrics.under_way):
            if outcome.resolution is None:
                continue
            routes[_route(outcome)].in_flight += 1
            # Once an answer is chosen, other attempts are over, whatever their records say.
            attempts = outcome.attempts if outcome.served_by is None else [outcome.served_by]
            for attempt in attempts:
                if attempt.duration_s is None:
                    endpoints[_asked(outcome, attempt)].in_flight += 1


class _Seen(NamedTuple):
    """What metrics had counted at one moment, and the requests that had ended since the last."""

    ways: list[tuple[tuple[str, RoutingTarget | None, int], _Counts]]
    errors: list[tuple[tuple[str, str, str], _Counts]]
    attempts: list[tuple[RoutingTarget, _Counts]]
    fresh: list[Outcome]


def _add_first_bytes(
    fresh: list[Outcome], total: _Row, routes: defaultdict[str, _Row], endpoints: defaultdict[_Endpoint, _Row]
) -> None:
    for outcome in fresh:
        if (first_byte_s := outcome.first_byte_s) is not None:
            total.first_bytes_s.append(first_byte_s)
            routes[_route(outcome)].first_bytes_s.append(first_byte_s)
        for attempt in outcome.attempts:
            if attempt.first_byte_s is not None:
                endpoints[_asked(outcome, attempt)].first_bytes_s.append(attempt.first_byte_s)


def _of_way(way: WayCell) -> _Counts:
    return way.complete + sum(way.endings.values()), way.tokens_in + way.tokens_out


def _of_endpoint(cell: EndpointCell) -> _Counts:
    abandoned = cell.results.get(ABANDONED, 0)
    return cell.answered, sum(cell.results.values()) - abandoned, abandoned


def _route(outcome: Outcome) -> str:
    """The route as the metrics call it."""
    match outcome.source:
        case None:
            return UNKNOWN
        case RouteSource.DIRECT:
            return DIRECT
        case _:
            return outcome.model or UNKNOWN


def _asked(outcome: Outcome, attempt: Attempt) -> _Endpoint:
    """The endpoint as the metrics call it."""
    provider, model_id = _name(attempt.target)
    return provider, DIRECT if outcome.source is RouteSource.DIRECT else model_id


def _name(target: RoutingTarget) -> _Endpoint:
    return target.provider_name, target.model_id


def _busiest(rows: dict[_Key, _Row]) -> list[_Key]:
    """The keys of the busiest rows."""
    return sorted(rows, key=lambda key: (rows[key].ended, rows[key].in_flight), reverse=True)[:MOST_ROWS]


def _percentile_ms(times_s: Sequence[float], share: float) -> float | None:
    """The nearest rank of sorted times, in milliseconds."""
    if not times_s:
        return None
    return round(times_s[min(int(len(times_s) * share), len(times_s) - 1)] * 1000, 1)
