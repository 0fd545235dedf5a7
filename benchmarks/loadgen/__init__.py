"""Our own load generator, `loadgen.c`: fixed rates without coordinated omission, timed streams, held connections."""

import math
import subprocess
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.chat import Request
from benchmarks.errors import BenchmarkError
from benchmarks.program import compile_c

_LIMIT_S = 125
"""For one run; the program ends itself a little earlier."""


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the program counted over its whole run, the warm-up included."""

    answers: int
    begun: int
    """Answers whose body had begun."""
    events: int
    """Of streams, within the time that was sampled."""
    errors: int
    unanswered: int
    """Requests that were due, and not answered until 2 s after the end."""
    first_error: str


@dataclass(frozen=True)
class Timed:
    """What one run found.

    Attributes:
        times_us: one time a sample, ascending, in microseconds.
        secs: how long was sampled.
    """

    counts: Counts
    times_us: Sequence[int]
    secs: float

    @property
    def per_s(self) -> float:
        """Samples per second."""
        return len(self.times_us) / self.secs

    @property
    def failures(self) -> int:
        """Requests that went wrong, or were never answered."""
        return self.counts.errors + self.counts.unanswered

    def percentile_us(self, percent: float) -> float:
        """The time that so many of the samples don't exceed (nearest rank); NaN without any."""
        return percentile(self.times_us, percent)


def percentile(ascending: Sequence[float], percent: float) -> float:
    """The least of the values that `percent` of them don't exceed (nearest rank); NaN if there are none."""
    if not ascending:
        return math.nan
    rank = math.ceil(round(len(ascending) * percent / 100, 6))
    return ascending[max(rank, 1) - 1]


class Loadgen:
    """Runs the load generator.

    Args:
        core: the core to which it is pinned.
        directory: where its binary and its files go.

    Raises:
        BenchmarkError: it doesn't compile.
    """

    def __init__(self, core: int, directory: Path) -> None:
        self._binary = compile_c(Path(__file__).with_name("loadgen.c"), directory)
        self._core = core
        self._request = directory / "loadgen-request"
        self._samples = directory / "loadgen-samples"

    def whole_answers(
        self, port: int, request: Request, *, connections: int, secs: float, rate: float = 0, warm_up_s: float = 0.2
    ) -> Timed:
        """The times to the ends of answers, at `rate` requests per second, or in a closed loop if that is 0."""
        return self._run(port, request, "whole", secs, connections=connections, rate=rate, warm_us=1e6 * warm_up_s)

    def first_bytes(self, port: int, request: Request, *, secs: float, warm_up_s: float) -> Timed:
        """The times to the first byte of each answer's body, on one connection, one request after another."""
        return self._run(port, request, "first", secs, connections=1, warm_us=1e6 * warm_up_s)

    def streams(self, port: int, request: Request, *, streams: int, secs: float, period_us: int) -> Timed:
        """How late each event of so many endless streams is, which should bring one every `period_us`."""
        return self._run(port, request, "gaps", secs, connections=streams, period_us=period_us, ramp_us=5e5)

    @contextmanager
    def hold(self, port: int, request: Request, connections: int) -> Iterator[None]:
        """A context in which so many connections are open, each of which got the beginning of its answer.

        Raises:
            BenchmarkError: not all of them could be opened.
        """
        command = self._command(port, request, "hold", connections=connections)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                if process.stdout is None or (line := process.stdout.readline()) != "HELD\n":
                    raise BenchmarkError(f"of {connections} connections not all could be held: {line}")
                yield
            finally:
                process.terminate()

    def _run(self, port: int, request: Request, mode: str, secs: float, **options: float) -> Timed:
        command = self._command(port, request, mode, secs_us=1e6 * secs, **options)
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"the load generator did not end within {_LIMIT_S} s") from error
        if ran.returncode != 0:
            raise BenchmarkError(f"the load generator failed ({ran.returncode}): {ran.stderr.strip()}")
        times = array("I")
        times.frombytes(self._samples.read_bytes())
        return Timed(msgspec.json.decode(ran.stdout, type=Counts), sorted(times), secs)

    def _command(self, port: int, request: Request, mode: str, **options: float) -> list[str]:
        self._request.write_bytes(request.raw())
        words = [str(port), str(self._request), str(self._samples), f"mode={mode}"]
        words += [f"{name}={value:.0f}" for name, value in options.items()]
        return ["taskset", "--cpu-list", str(self._core), str(self._binary), *words]
