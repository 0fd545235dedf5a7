"""A program under measurement: started on one core, asked until it answers, stopped with everything it started."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from benchmarks.chat import Request
from benchmarks.errors import BenchmarkError
from benchmarks.processes import session_cpu_s, session_pss_bytes

_START_LIMIT_S = 90.0
_STOP_LIMIT_S = 5.0
_ASK_LIMIT_S = 10.0
_PAUSE_S = 0.002


class Command(NamedTuple):
    """How a program is started; it must stay in the foreground."""

    words: list[str]
    directory: Path | None = None
    environment: Mapping[str, str] = {}
    """Beside what this process has."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def ask(port: int, request: Request) -> tuple[int, bytes]:
    """The status and body of the answer at 127.0.0.1.

    Raises:
        OSError, HTTPException: there was no whole answer.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=_ASK_LIMIT_S)
    try:
        connection.request("GET" if request.body is None else "POST", request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Server:
    """A context manager in which the program runs and answers.

    Args:
        command: what is started.
        port: where it will listen on 127.0.0.1.
        core: the core to which it and its children are pinned.
        ready: is answered with 200 once the program takes traffic.
        log: the file for what it prints.

    Attributes:
        started_s: from starting the process to its first good answer, in seconds.

    Entering it raises `BenchmarkError` if the program doesn't come up in time.
    """

    def __init__(self, command: Command, *, port: int, core: int, ready: Request, log: Path) -> None:
        self.port = port
        self.started_s = 0.0
        self._command = command
        self._pinned = ["taskset", "--cpu-list", str(core), *command.words]
        self._program = Path(command.words[0]).name
        self._ready = ready
        self._log = log

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                raise BenchmarkError(f"port {self.port}, where {self._program} would listen, is taken")
        began_s = time.monotonic()
        with self._log.open("wb") as log:
            # A session of its own: by its number all its processes are found, for accounting and for stopping.
            self._process = subprocess.Popen(
                self._pinned,
                cwd=self._command.directory,
                env={**os.environ, **self._command.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        self.started_s = time.monotonic() - began_s
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """The process that was started; `taskset` has become the program itself."""
        return self._process.pid

    def cpu_s(self) -> float:
        """CPU time, in seconds, that the program has spent since its start, its children included."""
        return session_cpu_s(self._process.pid)

    def pss_bytes(self) -> int:
        """Memory of its processes, what they share counted once."""
        return session_pss_bytes(self._process.pid)

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                status = self._process.returncode
                raise BenchmarkError(f"{self._program} ended at once with status {status}: {self._last_words()}")
            with suppress(OSError, HTTPException):
                if ask(self.port, self._ready)[0] == 200:
                    return
            time.sleep(_PAUSE_S)
        waited = f"{self._ready.path} was not answered with 200 within {_START_LIMIT_S:.0f} s"
        raise BenchmarkError(f"{self._program} did not come up, {waited}: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")

    def _stop(self) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_LIMIT_S)
        with suppress(ProcessLookupError):  # as a rule nothing is left of the group
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
