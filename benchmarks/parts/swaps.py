"""Swaps under load: the model that is asked for gets another route, over and over, and no request may notice."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from itertools import cycle
from threading import Event, Thread

import msgspec

from benchmarks.bench import Bench, Outcome, Running
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Figure, Key, Sample
from benchmarks.loadgen import Timed
from benchmarks.part import Part
from benchmarks.parts.open_loop import CONNECTIONS, OPENING_S, latencies, trouble_of
from benchmarks.peers import Peer

NAME = "swaps"
_SHARE = 0.4
"""The load, of what the peer can do: swaps need their share as well."""
_SWAPS = 1_000


class Swapper:
    """Swaps the route of `gpt-4o` through the admin API, one swap as soon as the other is answered.

    Attributes:
        swaps: how many were accepted.
        trouble: the answer to one that wasn't.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = Event()
        self.swaps = 0
        self.trouble = ""

    @contextmanager
    def swapping(self) -> Iterator[None]:
        """A context in which it goes on."""
        thread = Thread(target=self._swap)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _swap(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            for model_id in cycle(("gpt-4o", "gpt-4o-mini")):
                if self._stop.is_set() or self.trouble:
                    return
                route = {"model": "gpt-4o", "endpoints": [{"provider": "mock", "model_id": model_id}]}
                headers = {"Content-Type": "application/json"}
                connection.request("POST", "/admin/routes", msgspec.json.encode(route), headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.swaps += 1
                else:
                    self.trouble = f"a swap was answered with {answer.status}"
        except OSError as error:
            self.trouble = f"a swap failed: {error}"
        finally:
            connection.close()


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    with bench.start(peer) as running:
        bench.warm_up(running, running.chat())
        rate = _SHARE * bench.warm_up(running, running.chat())
        if not rate:
            raise BenchmarkError("nothing was answered")
        without, swapped = Key(NAME, "without swaps", peer.name), Key(NAME, "with swaps", peer.name)
        yield bench.measure(without, round_number, running, partial(_load, bench, running, rate))
        yield bench.measure(swapped, round_number, running, partial(_load_and_swap, bench, running, rate))


def _run(bench: Bench, running: Running, rate: float) -> Timed:
    secs = bench.effort.short_s
    return bench.loadgen.whole_answers(
        running.port, running.chat(), connections=CONNECTIONS, secs=secs, rate=rate, warm_up_s=OPENING_S
    )


def _load(bench: Bench, running: Running, rate: float) -> Outcome:
    timed = _run(bench, running, rate)
    return Outcome({**latencies(timed), "rate": rate}, timed.counts.answers, trouble_of(timed))


def _load_and_swap(bench: Bench, running: Running, rate: float) -> Outcome:
    swapper = Swapper(running.port)
    began_s = time.monotonic()
    with swapper.swapping():
        timed = _run(bench, running, rate)
    elapsed_s = time.monotonic() - began_s
    values = {**latencies(timed), "rate": rate, "swaps": swapper.swaps, "swaps_per_s": swapper.swaps / elapsed_s}
    trouble = trouble_of(timed) or swapper.trouble
    if swapper.swaps < _SWAPS and not bench.effort.is_quick:
        trouble = trouble or f"only {swapper.swaps} swaps"
    return Outcome(values, timed.counts.answers, trouble)


PART = Part(
    name=NAME,
    title="Swaps under load",
    about=(
        f"Requests at a fixed rate, {_SHARE:.0%} of what the peer can do, first alone and then while the route of "
        f"their model is switched back and forth through the admin API, at least {_SWAPS:,} times, one swap after the "
        "other. A single request that fails makes the row invalid."
    ),
    figures=(
        Figure("p99_ms", "p99 ms", 2),
        Figure("p50_ms", "p50 ms", 2, is_compared=False),
        Figure("rate", "requests/s", is_compared=False),
        Figure("swaps", "swaps", is_compared=False),
        Figure("swaps_per_s", "swaps/s", is_compared=False),
    ),
    measure=_measure,
    takes=lambda peer: peer.root is not None,
)
