"""The metrics as Prometheus reads them: names, labels and help, made of the plain numbers once somebody asks.

docs/telemetry.md lists them all.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.routing import RoutingTarget
from proxy.telemetry.metrics import BOUNDS_S, DIRECT, Histogram, Metrics
from proxy.telemetry.outcome import STALL_S, Ending
from proxy.telemetry.readings import EndpointReading, Readings

_STATES = ("closed", "half_open", "open")
_BOUNDS = (*(str(bound) for bound in BOUNDS_S), "+Inf")


def expose(metrics: Metrics, readings: Readings) -> bytes:
    """Everything in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(metrics, readings))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collector(Collector):
    """Reads the cells while requests go on counting in them: each number is right, their sum may be a moment old."""

    def __init__(self, metrics: Metrics, readings: Readings) -> None:
        self._metrics = metrics
        self._readings = readings

    def collect(self) -> Iterable[Metric]:
        """Every metric of our own."""
        yield from self._requests()
        yield from self._attempts()
        yield from self._connections()
        yield from self._health()
        yield from self._limits()
        revision = self._readings.revision()
        yield _gauge("pointsman_table_revision", "Version of the routing table.", revision)
        swaps = CounterMetricFamily("pointsman_swaps", "Accepted changes of the routing table while it was in use.")
        swaps.add_metric([], revision)
        yield swaps
        changes = {(action,): count for action, count in list(self._metrics.changes.items())}
        yield _counter("pointsman_changes", "Accepted changes, by what was done.", ("action",), changes.items())
        build = GaugeMetricFamily("pointsman_build_info", "The program's version; always 1.", labels=["version"])
        build.add_metric([self._readings.version], 1)
        yield build

    def _requests(self) -> Iterator[Metric]:
        counts: Counter[tuple[str, ...]] = Counter()
        tokens: Counter[tuple[str, ...]] = Counter()
        for (model, target, status), way in list(self._metrics.ways.items()):
            provider = "" if target is None else target.provider_name
            labels = (model, provider, str(status))
            if way.complete:
                counts[*labels, Ending.COMPLETE] += way.complete
            for ending, count in list(way.endings.items()):
                counts[*labels, ending] += count
            if way.tokens_in or way.tokens_out:
                tokens[model, provider, "input"] += way.tokens_in
                tokens[model, provider, "output"] += way.tokens_out
        yield _counter(
            "pointsman_requests",
            "Requests that are over; status 0 if no answer was begun.",
            ("model", "provider", "status", "ending"),
            counts.items(),
        )
        errors = {key: count.value for key, count in list(self._metrics.errors.items())}
        yield _counter(
            "pointsman_request_errors",
            "Requests that failed, by cause.",
            ("model", "provider", "cause"),
            errors.items(),
        )
        yield _counter(
            "pointsman_tokens", "Tokens as providers count them.", ("model", "provider", "direction"), tokens.items()
        )
        yield _histogram(
            "pointsman_request_duration_seconds",
            "From a request's arrival to the end of its answer.",
            ("model", "provider"),
            list(self._metrics.durations.items()),
        )
        yield _gauge("pointsman_requests_in_flight", "Requests under way.", len(self._metrics.under_way))

    def _attempts(self) -> Iterator[Metric]:
        counts: Counter[tuple[str, ...]] = Counter()
        stalls: Counter[tuple[str, ...]] = Counter()
        first_bytes: dict[tuple[str, ...], Histogram] = {}
        for target, cell in list(self._metrics.endpoints.items()):
            endpoint = _endpoint(target)
            counts[*endpoint, "ok"] += cell.answered
            for result, count in list(cell.results.items()):
                counts[*endpoint, result] += count
            stalls[endpoint] += cell.stalls
            _add(first_bytes.setdefault(endpoint, Histogram()), cell.first_byte)
        yield _counter(
            "pointsman_attempts",
            "Attempts at providers, by what became of them: ok, abandoned, or why they failed.",
            ("provider", "model_id", "result"),
            counts.items(),
        )
        failovers: Counter[tuple[str, ...]] = Counter()
        for (model, before, after), number in list(self._metrics.failovers.items()):
            failovers[model, ":".join(_endpoint(before)), ":".join(_endpoint(after))] += number.value
        yield _counter(
            "pointsman_failovers",
            "Attempts after another endpoint had failed.",
            ("model", "from", "to"),
            failovers.items(),
        )
        yield _histogram(
            "pointsman_time_to_first_byte_seconds",
            "From the start of an attempt to the head of the provider's answer.",
            ("provider", "model_id"),
            list(first_bytes.items()),
        )
        yield _counter(
            "pointsman_stream_stalls",
            f"Pauses of more than {STALL_S:g} s between two pieces of an answer.",
            ("provider", "model_id"),
            stalls.items(),
        )

    def _connections(self) -> Iterator[Metric]:
        labels = ["provider", "protocol"]
        states = GaugeMetricFamily("pointsman_pool_connections", "Connections to providers.", labels=[*labels, "state"])
        waiting = GaugeMetricFamily("pointsman_pool_waiting", "Requests that wait for a connection.", labels=labels)
        for provider, protocol, pool in self._readings.pools():
            busy, resting = pool.busy, pool.resting
            states.add_metric([provider, protocol, "busy"], busy)
            states.add_metric([provider, protocol, "idle"], resting)
            states.add_metric([provider, protocol, "opening"], max(pool.open - busy - resting, 0))
            waiting.add_metric([provider, protocol], pool.waiting)
        yield states
        yield waiting

    def _health(self) -> Iterator[Metric]:
        """Of endpoints that no route leads to, which a client may have made up, the worst state and the sum."""
        routed = set(self._readings.routed())
        worst: dict[tuple[str, str], int] = {}
        in_flight: Counter[tuple[str, ...]] = Counter()
        for endpoint in self._readings.endpoints():
            labels = _shown(endpoint, routed)
            worst[labels] = max(worst.get(labels, 0), _STATES.index(endpoint.state))
            in_flight[labels] += endpoint.in_flight
        states = GaugeMetricFamily(
            "pointsman_breaker_state",
            "1 for the state in which an endpoint's breaker is.",
            labels=["provider", "model_id", "state"],
        )
        attempts = GaugeMetricFamily(
            "pointsman_attempts_in_flight", "Attempts under way.", labels=["provider", "model_id"]
        )
        for labels, position in worst.items():
            for number, state in enumerate(_STATES):
                states.add_metric([*labels, state], int(number == position))
            attempts.add_metric(labels, in_flight[labels])
        yield states
        yield attempts

    def _limits(self) -> Iterator[Metric]:
        labels = ["provider", "model_id"]
        in_use = GaugeMetricFamily("pointsman_concurrency_in_use", "Places that are taken.", labels=labels)
        waiting = GaugeMetricFamily("pointsman_concurrency_waiting", "Requests that wait for a place.", labels=labels)
        refused = CounterMetricFamily("pointsman_concurrency_refused", "Requests that got no place.", labels=labels)
        # Of what was configured anew meanwhile there are two for a while.
        sums: dict[str, list[int]] = {}
        for who, limit in self._readings.limits():
            seen = sums.get(who, [0, 0, 0])
            sums[who] = [seen[0] + limit.in_use, seen[1] + limit.waiting, seen[2] + limit.refused]
        for who, (taken, queued, turned_away) in sums.items():
            provider, _, model_id = who.partition(":")
            in_use.add_metric([provider, model_id], taken)
            waiting.add_metric([provider, model_id], queued)
            refused.add_metric([provider, model_id], turned_away)
        yield from (in_use, waiting, refused)
        budgets = GaugeMetricFamily(
            "pointsman_retry_budget", "Attempts that a provider's failures may cost now.", labels=["provider"]
        )
        for provider, left in self._readings.budgets():
            budgets.add_metric([provider], left)
        yield budgets


def _endpoint(target: RoutingTarget) -> tuple[str, str]:
    return target.provider_name, target.model_id


def _shown(endpoint: EndpointReading, routed: set[tuple[str, str]]) -> tuple[str, str]:
    own = endpoint.provider, endpoint.model_id
    return own if own in routed else (endpoint.provider, DIRECT)


def _add(total: Histogram, part: Histogram) -> None:
    total.counts = [ours + theirs for ours, theirs in zip(total.counts, part.counts, strict=True)]
    total.sum += part.sum


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], int]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def _histogram(
    name: str, text: str, labels: tuple[str, ...], histograms: Iterable[tuple[tuple[str, ...], Histogram]]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in histograms:
        below = 0
        buckets = []
        for bound, count in zip(_BOUNDS, histogram.counts, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(values, buckets, histogram.sum)
    return family
