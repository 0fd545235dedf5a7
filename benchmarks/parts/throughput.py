"""The closed loop: how many answers a second a peer gives, how long each takes, and what it costs."""

from collections.abc import Iterator
from functools import partial

from benchmarks.bench import Bench, Outcome, Running
from benchmarks.chat import Request
from benchmarks.figures import Figure, Key, Sample
from benchmarks.part import CPU_FIGURE, LOAD_CORE_FIGURE, PEER_CORE_FIGURE, Part
from benchmarks.peers import Peer

NAME = "throughput"
REQUESTS_PER_S = "requests_per_s"


def case(kind: str, connections: int) -> str:
    """The name of the case of `plain` or `stream` answers on so many connections."""
    return f"{kind}, {connections} connection{'s' if connections > 1 else ''}"


def wrk_outcome(bench: Bench, running: Running, request: Request, connections: int) -> Outcome:
    """Run wrk; what it came to."""
    result = bench.wrk(running, request, connections, bench.effort.secs)
    values = {REQUESTS_PER_S: result.requests_per_s, "p50_ms": result.p50_us / 1e3, "p99_ms": result.p99_us / 1e3}
    return Outcome(values, units=result.requests, trouble=f"{result.errors} errors" if result.errors else "")


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    with bench.start(peer) as running:
        for kind in ("plain", "stream"):
            request = running.chat(stream=kind == "stream")
            bench.warm_up(running, request)
            for connections in bench.effort.connections:
                key = Key(NAME, case(kind, connections), peer.name)
                load = partial(wrk_outcome, bench, running, request, connections)
                yield bench.measure(key, round_number, running, load)


PART = Part(
    name=NAME,
    title="Closed loop: requests per second, latency, CPU per request",
    about=(
        "wrk asks again on each connection as soon as it is answered. `plain` is a chat request of 1.5 kB and an "
        "answer of 0.6 kB; `stream` the same request and 50 events back to back. Where the load's core is full and "
        "the peer's is not, the load was the limit. A peer that stalls is asked less often meanwhile, so "
        "p99 flatters it here."
    ),
    figures=(
        Figure(REQUESTS_PER_S, "requests/s"),
        CPU_FIGURE,
        Figure("p50_ms", "p50 ms", 2),
        Figure("p99_ms", "p99 ms", 2),
        PEER_CORE_FIGURE,
        LOAD_CORE_FIGURE,
    ),
    measure=_measure,
)
