"""A program under measurement: started on one core, asked until it answers, stopped with everything it started."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.errors import BenchmarkError
from benchmarks.machine import session_cpu_s

_START_LIMIT_S = 20.0
_STOP_LIMIT_S = 5.0


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def ask(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """The status and body of a GET, or of a POST of `body`, at 127.0.0.1.

    Raises:
        OSError, HTTPException: there was no whole answer.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Authorization": "Bearer sk-client", "Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Server:
    """A context manager in which the program runs and answers.

    Args:
        command: the program and its arguments; it must stay in the foreground.
        port: where it will listen on 127.0.0.1.
        core: the core to which it and its children are pinned.
        ready_path: answers a GET with 200 once the program takes traffic.
        log: the file for what it prints.

    Entering it raises `BenchmarkError` if the program doesn't come up in time.
    """

    def __init__(self, command: Sequence[str], *, port: int, core: int, ready_path: str, log: Path) -> None:
        self.port = port
        self._command = ["taskset", "--cpu-list", str(core), *command]
        self._program = Path(command[0]).name
        self._ready_path = ready_path
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            # A session of its own: by its number all its processes are found, for accounting and for stopping.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def cpu_s(self) -> float:
        """CPU time, in seconds, that the program has spent since its start, its children included."""
        return session_cpu_s(self._process.pid)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                status = self._process.returncode
                raise BenchmarkError(f"{self._program} ended at once with status {status}: {self._last_words()}")
            with suppress(OSError, HTTPException):
                if ask(self.port, self._ready_path)[0] == 200:
                    return
            time.sleep(0.05)
        waited = f"no 200 from GET {self._ready_path} within {_START_LIMIT_S:.0f} s"
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
