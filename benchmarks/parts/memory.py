"""Memory per open stream, and per idle connection."""

import time
from collections.abc import Iterator

from benchmarks.bench import Bench, Running
from benchmarks.figures import Figure, Sample
from benchmarks.machine import raise_file_limit
from benchmarks.part import Part
from benchmarks.peers import Peer
from benchmarks.upstream import ENDLESS

NAME = "memory"
STREAM_CASE, IDLE_CASE = "open stream", "idle connection"
KB_EACH = "kb_each"
_MOST, _MOST_QUICK = 10_000, 500
_SPARE_FILES = 500
_QUIET_US = 30_000_000
"""Between two events: less than any peer's patience, more than the measurement takes."""
_SETTLE_S, _SETTLE_QUICK_S = 1.0, 0.2


def connections_within(file_limit: int, wanted: int) -> int:
    """How many connections can be held where a peer may open so many files: it needs two for each stream."""
    return min(wanted, (file_limit - _SPARE_FILES) // 2)


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    connections = connections_within(raise_file_limit(), _MOST_QUICK if bench.effort.is_quick else _MOST)
    for case in (STREAM_CASE, IDLE_CASE):
        with bench.start(peer) as running:
            bench.warm_up(running, running.chat(stream=True))
            values = _hold(bench, running, connections, stream=case == STREAM_CASE)
        yield Sample(part=NAME, case=case, peer=peer.name, round=round_number, values=values)


def _hold(bench: Bench, running: Running, connections: int, *, stream: bool) -> dict[str, float]:
    server = running.server
    if server is None:
        return {}
    bench.upstream.script(event_delay_us=_QUIET_US, events=ENDLESS)
    settle_s = _SETTLE_QUICK_S if bench.effort.is_quick else _SETTLE_S
    time.sleep(settle_s)
    before = server.pss_bytes()
    with bench.loadgen.hold(running.port, running.chat(stream=stream), connections):
        time.sleep(settle_s)
        after = server.pss_bytes()
    return {KB_EACH: (after - before) / connections / 1e3, "before_mb": before / 1e6, "connections": float(connections)}


PART = Part(
    name=NAME,
    title="Memory",
    about=(
        "What the peer's processes grow by (proportional set size) while so many connections are open, divided by "
        "their number. An open stream has had its first event and waits for the next; an idle connection has had "
        "its answer. The kernel's socket buffers are not in it. As many as 10,000, or the limit on open files allows."
    ),
    figures=(
        Figure(KB_EACH, "kB each", 1),
        Figure("connections", "connections", is_compared=False),
        Figure("before_mb", "MB before", 1, is_compared=False),
    ),
    measure=_measure,
    takes=lambda peer: peer.command is not None,
)
