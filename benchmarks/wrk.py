"""wrk, a closed-loop load generator: each connection asks again as soon as it is answered."""

import os
import subprocess
from pathlib import Path

import msgspec

from benchmarks.chat import Request
from benchmarks.errors import BenchmarkError

_SCRIPT = Path(__file__).with_name("wrk.lua")
_TIMEOUT_S = 60
"""For one answer; also what wrk may take beyond its duration."""


class WrkResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What wrk counted; the times are those of whole answers."""

    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    connect_errors: int
    read_errors: int
    write_errors: int
    status_errors: int
    """Answers of status 400 and above."""
    timeouts: int

    @property
    def errors(self) -> int:
        """Everything that was not a good answer."""
        return self.connect_errors + self.read_errors + self.write_errors + self.status_errors + self.timeouts

    @property
    def requests_per_s(self) -> float:
        """Whole answers per second."""
        return self.requests / (self.duration_us / 1e6)


def run_wrk(origin: str, request: Request, directory: Path, *, connections: int, secs: int, core: int) -> WrkResult:
    """Post the request at `origin` (such as `http://127.0.0.1:80`) over and over for `secs` seconds.

    Raises:
        BenchmarkError: wrk did not get as far as a result.
    """
    body = directory / "wrk-body.json"
    body.write_bytes(request.body or b"")
    headers = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
    command = ["taskset", "--cpu-list", str(core), "wrk", "--threads=1", f"--connections={connections}"]
    command += [f"--duration={secs}s", f"--timeout={_TIMEOUT_S}s", f"--script={_SCRIPT}", origin + request.path]
    try:
        ran = subprocess.run(
            command,
            env={**os.environ, "WRK_BODY": str(body), "WRK_HEADERS": headers},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=secs + _TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"wrk did not end {_TIMEOUT_S} s after its time") from error
    return parse_wrk(ran.stdout)


def parse_wrk(output: str) -> WrkResult:
    """The result in what wrk printed with `wrk.lua`.

    Raises:
        BenchmarkError: there is none.
    """
    for line in output.splitlines():
        if line.startswith("RESULT "):
            return msgspec.json.decode(line.removeprefix("RESULT "), type=WrkResult)
    raise BenchmarkError(f"wrk gave no result: {output.strip()[-300:] or 'it printed nothing'}")
