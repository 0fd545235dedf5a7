"""The mock upstream: `mock.c`, compiled for the run and pinned to the load's core."""

from pathlib import Path

import msgspec

from benchmarks.chat import Request
from benchmarks.program import compile_c
from benchmarks.server import Command, Server, ask, free_port

EVENTS_PER_STREAM = 50
ENDLESS = 10**12
"""More events than any stream lives to see."""


class UpstreamStats(msgspec.Struct, frozen=True):
    """What the upstream has served since its start."""

    connections: int
    requests: int
    events: int


class Upstream(Server):
    """A context manager in which the mock upstream runs.

    Args:
        core: the core to which it is pinned.
        directory: where its binary and its log go.
        port: where it listens; any free one by default.

    Raises:
        BenchmarkError: `mock.c` doesn't compile.
    """

    def __init__(self, core: int, directory: Path, port: int | None = None) -> None:
        port = port or free_port()
        command = Command([str(compile_c(Path(__file__).with_name("mock.c"), directory)), str(port)])
        super().__init__(command, port=port, core=core, ready=Request("/__stats"), log=directory / "upstream.log")

    def script(self, *, event_delay_us: int = 0, events: int = EVENTS_PER_STREAM, answer_bytes: int = 0) -> None:
        """What it answers from now on.

        Args:
            event_delay_us: the pause between two events of a stream, in microseconds; 0: back to back.
            events: how many a stream has.
            answer_bytes: text in a plain answer, beyond the usual 0.6 kB.
        """
        query = f"delay_us={event_delay_us}&events={events}&answer_bytes={answer_bytes}"
        ask(self.port, Request(f"/__script?{query}", b""))

    def stats(self) -> UpstreamStats:
        """The counters since the start."""
        return msgspec.json.decode(ask(self.port, Request("/__stats"))[1], type=UpstreamStats)
