"""The mock upstream: `mock.c`, compiled for the run and pinned to the load's core."""

import subprocess
from pathlib import Path

import msgspec

from benchmarks.errors import BenchmarkError
from benchmarks.server import Server, ask, free_port

EVENTS_PER_STREAM = 50


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

    Raises:
        BenchmarkError: `mock.c` doesn't compile.
    """

    def __init__(self, core: int, directory: Path) -> None:
        binary = directory / "mock"
        source = Path(__file__).with_name("mock.c")
        built = subprocess.run(
            ["gcc", "-O2", "-o", binary, source], capture_output=True, text=True, timeout=60, check=False
        )
        if built.returncode != 0:
            raise BenchmarkError(f"{source.name} does not compile: {built.stderr.strip()}")
        port = free_port()
        log = directory / "upstream.log"
        super().__init__([str(binary), str(port)], port=port, core=core, ready_path="/__stats", log=log)

    def pace(self, event_delay_us: int) -> None:
        """Set the pause between two events of every stream from now on, in microseconds; 0: back to back."""
        ask(self.port, f"/__pace?delay_us={event_delay_us}", b"")

    def stats(self) -> UpstreamStats:
        """The counters since the start."""
        return msgspec.json.decode(ask(self.port, "/__stats")[1], type=UpstreamStats)
