"""Log lines to standard error, written by a thread of their own: a slow terminal never holds up the event loop."""

import logging
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler, QueueListener

_LINES_WAITING = 10_000

BARE = {"is_bare": True}
"""The `extra` of a record whose message is all of the line."""


class _Lines(logging.Formatter):
    """Says when, how grave and by whom, unless the message says all."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage() if getattr(record, "is_bare", False) else super().format(record)


class _BoundedHandler(QueueHandler):
    """Drops lines rather than waiting, or growing, where the writer can't keep up."""

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self.queue.put_nowait(record)


@contextmanager
def logging_to_stderr(level: int) -> Iterator[None]:
    """Log what is at least of `level` while the context is open; what waits is written before it closes."""
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    lines: queue.Queue[logging.LogRecord] = queue.Queue(_LINES_WAITING)
    listener = QueueListener(lines, writer)
    handler = _BoundedHandler(lines)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    listener.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        listener.stop()
