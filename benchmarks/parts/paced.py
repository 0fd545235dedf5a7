"""CPU time per streamed event, at the pace of models: 256 streams, an event every 10 ms on each."""

from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.figures import CPU_US, Figure, Key, Sample
from benchmarks.part import LOAD_CORE_FIGURE, PEER_CORE_FIGURE, Part
from benchmarks.peers import Peer

NAME = "paced"
STREAMS = 256
CASE = f"{STREAMS} streams, an event every 10 ms"
_EVENT_DELAY_US = 10_000


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    with bench.start(peer) as running:
        bench.upstream.script(event_delay_us=_EVENT_DELAY_US)
        request = running.chat(stream=True)

        def load() -> Outcome:
            before = bench.upstream.stats().events
            result = bench.wrk(running, request, STREAMS, bench.effort.secs)
            events = bench.upstream.stats().events - before
            values = {"events_per_s": events / (result.duration_us / 1e6), "p50_ms": result.p50_us / 1e3}
            return Outcome(values, units=events, trouble=f"{result.errors} errors" if result.errors else "")

        yield bench.measure(Key(NAME, CASE, peer.name), round_number, running, load)


PART = Part(
    name=NAME,
    title="CPU per streamed event",
    about=(
        "Streams of 50 events, one every 10 ms, as a model writes. Counted are the events that the upstream sent, "
        "those of streams still open at the end included. A peer that keeps up passes on about 25,000 events per "
        "second, and each stream takes a little more than 500 ms."
    ),
    figures=(
        Figure(CPU_US, "CPU µs/event", 1),
        Figure("events_per_s", "events/s", is_compared=False),
        Figure("p50_ms", "stream p50 ms", is_compared=False),
        PEER_CORE_FIGURE,
        LOAD_CORE_FIGURE,
    ),
    measure=_measure,
)
