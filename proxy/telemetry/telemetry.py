"""Where the records of all requests go, and what is told of them."""

import asyncio
import time

from proxy.config import Current
from proxy.telemetry.access_log import write_line
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.outcome import Outcome
from proxy.telemetry.readings import Readings


class Telemetry:
    """Makes of each request's record what there is to be made of it.

    Args:
        current: the settings in force, of which the access log's form counts here.
        readings: what metrics tell of the rest of the program.
    """

    def __init__(self, current: Current, readings: Readings) -> None:
        self._current = current
        self._readings = readings
        self._metrics = Metrics()

    def begin(self, client: str, method: str, path: str) -> Outcome:
        """The record of a request that begins now; it must be given to `record`, in a `finally`.

        Args:
            client: the address that asks.
            method: as sent.
            path: as sent, without the query.
        """
        self._metrics.in_flight += 1
        return Outcome(client, method, path)

    def record(self, outcome: Outcome) -> None:
        """Take in the record of a request that is over."""
        now = time.monotonic()
        for attempt in outcome.attempts:
            if attempt.duration_s is None:
                attempt.duration_s = now - attempt.started
        duration_s = now - outcome.started
        self._metrics.in_flight -= 1
        self._metrics.count(outcome, duration_s)
        write_line(outcome, duration_s, self._current.settings.server.access_log)

    async def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, written in a thread: there may be many."""
        return await asyncio.to_thread(self._expose)

    def _expose(self) -> bytes:
        from proxy.telemetry.exposition import expose  # noqa: PLC0415 - prometheus_client, once somebody asks

        return expose(self._metrics, self._readings)
