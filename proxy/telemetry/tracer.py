"""Tracing: each request, and each attempt at a provider, becomes a span of OpenTelemetry once it is over.

What needs OpenTelemetry's packages is in `spans.py`, which is imported only where tracing is configured.
"""

import asyncio
import logging
import threading
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from proxy.config import Tracing
from proxy.telemetry.outcome import Outcome
from proxy.telemetry.trace import RequestSpan
from proxy.wire import Head

_LAST_EXPORT_S = 5.0

_log = logging.getLogger("pointsman.tracing")


class _Spans(Protocol):
    """What takes requests that are over: `Spans`, which can be imported only with the extra."""

    def record(self, outcome: Outcome, span: RequestSpan) -> None: ...

    def close(self) -> None: ...

    def give_up(self) -> None: ...


class TracingError(Exception):
    """Tracing is configured and can't be had; the message says what to do."""


class Tracer:
    """Makes spans of requests; an async context manager that has sent all of them, or given up, once it is closed.

    Args:
        settings: where to.
        version: the program's.

    Raises `TracingError` if OpenTelemetry's packages are not installed.
    """

    def __init__(self, settings: Tracing, version: str) -> None:
        try:
            from proxy.telemetry.spans import Spans  # noqa: PLC0415 - it needs the extra
        except ImportError as error:
            raise TracingError(
                f"tracing is configured, which needs the extra `otel`: pip install 'pointsman[otel]' ({error})"
            ) from error
        self._make = partial(Spans, settings, version)
        self._sample = settings.sample
        self._spans: _Spans | None = None

    async def __aenter__(self) -> Self:
        self._spans = self._make()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (spans := self._spans) is None:
            return
        loop, is_done = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            spans.close()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(is_done.set)

        # None of the event loop's own threads, whose end it would wait for.
        threading.Thread(target=close, name="last spans", daemon=True).start()
        try:
            async with asyncio.timeout(_LAST_EXPORT_S):
                await is_done.wait()
        except TimeoutError:
            _log.warning("The last spans were not sent within %g s and are lost", _LAST_EXPORT_S)
            spans.give_up()

    def begin(self, head: Head) -> RequestSpan:
        """The span of a request that begins now."""
        return RequestSpan(head, self._sample)

    def record(self, outcome: Outcome, span: RequestSpan) -> None:
        """Take in a request that is over and took so many seconds; its spans are sent by a thread of their own."""
        if span.is_sampled and self._spans is not None:
            self._spans.record(outcome, span)
