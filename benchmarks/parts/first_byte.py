"""The time to the first byte: what a peer adds to it where nothing else is going on."""

from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.figures import Figure, Key, Sample
from benchmarks.part import Part
from benchmarks.peers import Peer

NAME = "first-byte"
CASE = "1 connection"
P50_US = "p50_us"


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    with bench.start(peer) as running:
        bench.upstream.script(events=2)
        request = running.chat(stream=True)
        secs = bench.effort.brief_s

        def load() -> Outcome:
            timed = bench.loadgen.first_bytes(running.port, request, secs=secs, warm_up_s=bench.effort.warm_up_s)
            values = {P50_US: timed.percentile_us(50), "p99_us": timed.percentile_us(99)}
            return Outcome(values, timed.counts.answers, timed.counts.first_error)

        yield bench.measure(Key(NAME, CASE, peer.name), round_number, running, load)


PART = Part(
    name=NAME,
    title="Time to the first byte",
    about=(
        "One connection, one streaming request after another, of two events each; from sending the request to the "
        "first byte of the answer's body. `+ direct` is what the peer adds."
    ),
    figures=(Figure(P50_US, "p50 µs", over_direct=True), Figure("p99_us", "p99 µs", over_direct=True)),
    measure=_measure,
)
