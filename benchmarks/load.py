"""The load: the requests that are sent, and wrk, which sends them and counts."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.errors import BenchmarkError

CHAT_PATH = "/v1/chat/completions"
_SCRIPT = Path(__file__).with_name("wrk.lua")
_TIMEOUT_S = 60
"""For one answer; also what wrk may take beyond its duration."""


@dataclass(frozen=True)
class Scenario:
    """What every request of a run asks for.

    Attributes:
        title: its heading in the report.
        stream: whether the answer is an event stream.
        event_delay_us: the upstream's pause between two events, in microseconds.
        connections: the numbers of connections to measure with, where they are not the user's to choose.
    """

    name: str
    title: str
    stream: bool
    event_delay_us: int = 0
    connections: tuple[int, ...] | None = None

    def body(self) -> bytes:
        """A chat request of about 1.5 kB."""
        return msgspec.json.encode({**_CHAT, "stream": True} if self.stream else _CHAT)


_TASK = (
    "Summarise the attached incident report for an engineering audience. Keep the timeline, the root cause, the blast "
    "radius and the follow-up actions; leave out names. Quote log lines only where they show the first symptom. "
)
_CHAT = {
    "model": "gpt-4o",
    "temperature": 0.2,
    "max_tokens": 256,
    "messages": [
        {"role": "system", "content": "You are a careful assistant. Answer in plain English, in at most 200 words."},
        {"role": "user", "content": _TASK * 3},
        {
            "role": "assistant",
            "content": 'At 09:14 UTC the queue depth rose from 12 to 4,800 in "orders-eu"; consumers were throttled.',
        },
        {"role": "user", "content": _TASK * 2 + "What changed between 09:10 and 09:14? Answer as bullet points.\n"},
    ],
}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("plain", "Non-streaming", stream=False),
        Scenario("stream", "Streaming, 50 events back to back", stream=True),
        Scenario(
            "paced",
            "Streaming, 50 events 10 ms apart",
            stream=True,
            event_delay_us=10_000,
            connections=(256,),
        ),
    )
}


class LoadResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


def run_wrk(port: int, body: Path, *, connections: int, secs: int, core: int) -> LoadResult:
    """Post the body in the file `body` over and over for `secs` seconds, each connection as fast as it is answered.

    Raises:
        BenchmarkError: wrk did not get as far as a result.
    """
    command = ["taskset", "--cpu-list", str(core), "wrk", "--threads=1", f"--connections={connections}"]
    command += [f"--duration={secs}s", f"--timeout={_TIMEOUT_S}s", f"--script={_SCRIPT}"]
    command.append(f"http://127.0.0.1:{port}{CHAT_PATH}")
    try:
        ran = subprocess.run(
            command,
            env={**os.environ, "WRK_BODY": str(body)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=secs + _TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"wrk did not end {_TIMEOUT_S} s after its time") from error
    return parse_wrk(ran.stdout)


def parse_wrk(output: str) -> LoadResult:
    """The result in what wrk printed with `wrk.lua`.

    Raises:
        BenchmarkError: there is none.
    """
    for line in output.splitlines():
        if line.startswith("RESULT "):
            return msgspec.json.decode(line.removeprefix("RESULT "), type=LoadResult)
    raise BenchmarkError(f"wrk gave no result: {output.strip()[-300:] or 'it printed nothing'}")
