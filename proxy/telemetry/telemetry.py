"""Where the records of all requests go, and what is told of them."""

import asyncio
import time
from collections.abc import Collection
from typing import Final

from proxy.config import AccessLog, Current
from proxy.routing import Change
from proxy.telemetry.access_log import write_line
from proxy.telemetry.events import EventKind, of_change
from proxy.telemetry.feed import Feed
from proxy.telemetry.live import Meter
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.outcome import Outcome
from proxy.telemetry.readings import Readings
from proxy.telemetry.recent import Recent
from proxy.telemetry.tracer import Tracer
from proxy.telemetry.under_way import UnderWay
from proxy.telemetry.watch import Watch
from proxy.wire import Head

# A member of an enum is looked up in a tenth of the time under a name of its own.
_NO_LOG: Final = AccessLog.OFF


class Telemetry:
    """Makes of each request's record what there is to be made of it.

    Args:
        current: the settings in force, of which the access log's form counts here.
        readings: what metrics tell of the rest of the program.
        tracer: makes spans; None if requests are not traced.

    Attributes:
        recent: the records of the latest requests.
        under_way: the requests that are not over.
        feed: tells of what happens; it is run by whoever builds the program.
        started: when it began, by the monotonic clock.
    """

    def __init__(self, current: Current, readings: Readings, tracer: Tracer | None = None) -> None:
        self._current = current
        self._readings = readings
        self._tracer = tracer
        self._metrics = Metrics()
        self.recent = Recent()
        self.under_way = UnderWay(self._metrics.under_way)
        self.feed = Feed(self.recent, self._meter, readings.revision)
        self.started = time.monotonic()

    def begin(self, client: str, method: str, path: str, head: Head | None = None) -> Outcome:
        """The record of a request that begins now; it must be given to `record`, in a `finally`.

        Args:
            client: the address that asks.
            method: as sent.
            path: as sent, without the query.
            head: what came with it, which says to what trace it belongs; None for a request that is not traced.
        """
        outcome = Outcome(client, method, path)
        self._metrics.under_way.add(outcome)
        if self._tracer is not None and head is not None:
            outcome.span = self._tracer.begin(head)
        return outcome

    def record(self, outcome: Outcome) -> None:
        """Take in the record of a request that is over."""
        outcome.end()
        self._metrics.add(outcome)
        self.recent.add(outcome)
        if (form := self._current.settings.server.access_log) is not _NO_LOG:
            write_line(outcome, form)
        if self._tracer is not None and outcome.span is not None:
            self._tracer.record(outcome, outcome.span)
            # Records are kept for a while; what the client sent of its trace is not.
            outcome.span = None
            for attempt in outcome.attempts:
                attempt.span = None

    def changed(self, change: Change) -> None:
        """Take in a change of the routing table."""
        self._metrics.changes[change.cause.action] += 1
        self.feed.publish(EventKind.CHANGE, of_change(change))

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self._metrics.under_way)

    @property
    def version(self) -> str:
        """The program's."""
        return self._readings.version

    def _meter(self) -> Meter:
        return Meter(self._metrics, self.recent, self._readings.endpoints)

    def watch(self, endpoints: Collection[tuple[str, str]]) -> Watch:
        """Watch what becomes of the attempts at these endpoints, each a provider and a model id, from now on."""
        return Watch(self._metrics, self.recent, endpoints)

    async def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, written in a thread: there may be many."""
        self._metrics.settle()
        return await asyncio.to_thread(self._expose)

    def _expose(self) -> bytes:
        from proxy.telemetry.exposition import expose  # noqa: PLC0415 - prometheus_client, once somebody asks

        return expose(self._metrics, self._readings)
