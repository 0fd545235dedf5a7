"""Large bodies: requests of 10 MB, as with images in them, and answers of 10 MB."""

from collections.abc import Iterator
from functools import partial

from benchmarks.bench import Bench, Outcome, Running
from benchmarks.chat import Request
from benchmarks.figures import CPU_US, Figure, Key, Sample
from benchmarks.part import LOAD_CORE_FIGURE, PEER_CORE_FIGURE, Part
from benchmarks.peers import Peer

NAME = "bodies"
REQUEST_CASE, ANSWER_CASE = "10 MB request", "10 MB answer"
_BYTES = 10_000_000
_CONNECTIONS = 4


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    with bench.start(peer) as running:
        small, large = running.chat(), running.chat(extra_bytes=_BYTES)
        bench.warm_up(running, small)
        for case, request, answer_bytes in ((REQUEST_CASE, large, 0), (ANSWER_CASE, small, _BYTES)):
            bench.upstream.script(answer_bytes=answer_bytes)
            key = Key(NAME, case, peer.name)
            yield bench.measure(key, round_number, running, partial(_load, bench, running, request))


def _load(bench: Bench, running: Running, request: Request) -> Outcome:
    secs = bench.effort.short_s
    timed = bench.loadgen.whole_answers(running.port, request, connections=_CONNECTIONS, secs=secs, warm_up_s=0)
    values = {"requests_per_s": timed.per_s, "p50_ms": timed.percentile_us(50) / 1e3}
    return Outcome(values, timed.counts.answers, timed.counts.first_error)


PART = Part(
    name=NAME,
    title="Large bodies",
    about=f"{_CONNECTIONS} connections in a closed loop; the body is one long text, as an image is.",
    figures=(
        Figure(CPU_US, "CPU µs/request"),
        Figure("requests_per_s", "requests/s", 1),
        Figure("p50_ms", "p50 ms", 1, is_compared=False),
        PEER_CORE_FIGURE,
        LOAD_CORE_FIGURE,
    ),
    measure=_measure,
)
