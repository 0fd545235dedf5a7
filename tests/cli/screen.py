"""A command that runs on a terminal of its own, which a test reads and types into."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

_PATIENCE_S = 30


class Screen:
    """Runs `pointsman ARGUMENTS` on a terminal 200 columns wide; a context manager that ends it.

    Attributes:
        shown: all that it has printed so far.
        status: its exit status, once it is over.
    """

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.shown = ""
        self.status: int | None = None
        # What was started in the background ignores Ctrl-C, and so would all that it starts.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proxy", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "200", "LINES": "50", "TERM": "xterm", **environment},
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)

    def until(self, *words: str) -> str:
        """What it prints until all the words stood there, since the last call."""
        begin = len(self.shown)
        late = time.monotonic() + _PATIENCE_S
        while not all(each in self.shown[begin:] for each in words):
            goes_on = self._read() and time.monotonic() < late
            assert goes_on, f"{words} never came, but: {self.shown[begin:]}"
        return self.shown[begin:]

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._ours, f"{text}\n".encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def rest(self) -> str:
        """What it prints until its end, since the last call."""
        begin = len(self.shown)
        while self._read():
            pass
        self.status = self._process.wait(_PATIENCE_S)
        return self.shown[begin:]

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], _PATIENCE_S)
        assert ready, f"it has been silent for {_PATIENCE_S} s after: {self.shown[-2000:]}"
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # Linux says EIO once the other side is closed
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)
