"""An upstream of TLS, as real providers are."""

from collections.abc import Iterator
from functools import partial

from benchmarks.bench import Bench
from benchmarks.figures import CPU_US, Figure, Key, Sample
from benchmarks.part import LOAD_CORE_FIGURE, PEER_CORE_FIGURE, Part
from benchmarks.parts.throughput import REQUESTS_PER_S, wrk_outcome
from benchmarks.peers import Peer
from benchmarks.tls_front import TlsFront

NAME = "tls"
_CONNECTIONS = 64


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    with (
        TlsFront(bench.upstream.port, bench.cores.load, bench.directory) as front,
        bench.start(peer, front=front) as running,
    ):
        request = running.chat()
        if running.server:  # our own load generator speaks no TLS
            bench.warm_up(running, request)
        load = partial(wrk_outcome, bench, running, request, _CONNECTIONS)
        key = Key(NAME, f"plain, {_CONNECTIONS} connections", peer.name)
        yield bench.measure(key, round_number, running, load, helpers=(front,))


PART = Part(
    name=NAME,
    title="TLS upstream",
    about=(
        "The peer asks the upstream over TLS and checks its certificate; clients still ask in plain HTTP. nginx ends "
        "TLS in front of the mock, on the load's core, for all peers alike; `direct` is wrk speaking TLS with it. "
        "Connections are kept, so this is the cost of encryption more than of handshakes."
    ),
    figures=(
        Figure(REQUESTS_PER_S, "requests/s"),
        Figure(CPU_US, "CPU µs/request", 1),
        Figure("p50_ms", "p50 ms", 2, is_compared=False),
        Figure("p99_ms", "p99 ms", 2, is_compared=False),
        PEER_CORE_FIGURE,
        LOAD_CORE_FIGURE,
    ),
    measure=_measure,
    takes=lambda peer: peer.speaks_tls,
)
