"""What happens, told as it happens to whoever listens: a stream of server-sent events that can be resumed.

Events have ids and are kept for a while. A listener has no queue: it follows the kept events at its own pace, and is
cut once it takes too long or is behind them all. It comes back with the id of the last event that it got, and is told
to begin anew if what it missed is gone, or another process answers. Readings and requests are told each second as they
then are; they are not kept.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from proxy.errors import ProxyError
from proxy.telemetry.events import EventKind, Events, sse
from proxy.telemetry.live import Meter
from proxy.telemetry.recent import Recent, RequestFilter
from proxy.telemetry.request_view import view_of

MOST_LISTENERS = 64
REQUESTS_AT_ONCE = 20
"""Of the requests of a second that a listener wants, the newest."""

EVERY_S = 1.0
HEARTBEAT_S = 15.0
LONGEST_S = 600.0
"""Of one stream. Who comes back shows anew that they may listen: a session ends, a token is taken back."""
# How long a listener may take for one piece.
_WRITE_S = 10.0
_EVENTS_IN_PIECE = 100
_HEARTBEAT = b": nothing new\n\n"

_log = logging.getLogger("pointsman.telemetry")


_EACH_SECOND = frozenset({EventKind.READINGS, EventKind.REQUESTS})


class FeedClosedError(ProxyError):
    """Nobody more can listen."""

    status = 503
    code = "feed_closed"


class SlowListenerError(Exception):
    """A listener didn't keep up; its connection is to be cut."""


class Wish(NamedTuple):
    """What a listener wants to be told: which kinds of events, and which requests if those are among them."""

    kinds: frozenset[EventKind] = frozenset(EventKind) - {EventKind.REQUESTS}
    requests: RequestFilter = RequestFilter()


class Feed:
    """The events of this process; an async context manager that ends all listeners when it closes.

    Nothing but `Listener.run` awaits anything, and all of it happens in the event loop's thread.

    Args:
        recent: the latest requests.
        meter: makes what reads the traffic, from then on; only while somebody listens.
        revision: the routing table's version.

    Attributes:
        events: what has happened.
        second: counts the readings.
        reading: the latest, as it is sent.
    """

    def __init__(self, recent: Recent, meter: Callable[[], Meter], revision: Callable[[], int]) -> None:
        self.recent = recent
        self.events = Events()
        self.second = 0
        self.reading = b""
        self._meter = meter
        self._revision = revision
        self._listeners: set[Listener] = set()
        self._is_read = asyncio.Event()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        self._reading_task = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._reading_task.cancel()
        await asyncio.gather(self._reading_task, return_exceptions=True)

    def close(self) -> None:
        """End every listener at once, and let nobody else listen."""
        self._is_closed = True
        for listener in self._listeners:
            listener.end()

    def publish(self, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Tell everybody of what has just happened; `fields` are of JSON's types."""
        self.events.add(kind, fields)
        for listener in self._listeners:
            listener.wake()

    @contextmanager
    def listen(self, wish: Wish, last_id: str) -> Iterator["Listener"]:
        """A listener, as long as the context is open.

        Args:
            wish: what it wants to be told.
            last_id: of the last event that it got; "" if it begins now.

        Raises `FeedClosedError` if there are too many, or the process is about to stop.
        """
        if self._is_closed:
            raise FeedClosedError("The proxy is stopping. Connect again in a moment.")
        if len(self._listeners) >= MOST_LISTENERS:
            message = f"{MOST_LISTENERS} listen already, which is the limit: close another page, or try again later."
            raise FeedClosedError(message)
        after = self.events.number_of(last_id)
        cursor = self.events.last if after is None else after
        greeting = json.dumps({"revision": self._revision()}, separators=(",", ":")).encode()
        first = sse("reset" if last_id and after is None else "hello", greeting, self.events.id_of(cursor))
        listener = Listener(self, wish, cursor, b"retry: 2000\n" + first)
        self._listeners.add(listener)
        self._settle()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._settle()

    def _settle(self) -> None:
        """Read the traffic while somebody wants to know."""
        if any(listener.kinds & _EACH_SECOND for listener in self._listeners):
            self._is_read.set()
        else:
            self._is_read.clear()

    async def _read(self) -> None:
        """Read the traffic each second; never ends."""
        while True:
            await self._is_read.wait()
            try:
                meter = self._meter()
                await meter.read()
                while self._is_read.is_set():
                    await asyncio.sleep(EVERY_S)
                    self.reading = sse(EventKind.READINGS, msgspec.json.encode(await meter.read()))
                    self.second += 1
                    for listener in self._listeners:
                        listener.wake()
            except Exception:  # noqa: BLE001 - a fault of ours must not end all later readings
                _log.exception("The traffic could not be read")
                await asyncio.sleep(EVERY_S)


class Listener:
    """Somebody who is told what happens.

    Args:
        feed: tells it.
        wish: what it wants to be told.
        cursor: the number of the last event that it got.
        greeting: what it is told first.
    """

    def __init__(self, feed: Feed, wish: Wish, cursor: int, greeting: bytes) -> None:
        self.kinds = wish.kinds
        self._feed = feed
        self._requests = wish.requests
        self._cursor = cursor
        self._second = feed.second
        self._last_request = feed.recent.last
        self._greeting = greeting
        self._woken = asyncio.Event()
        self._is_over = False
        self._patience: asyncio.Timeout | None = None

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    def end(self) -> None:
        """Tell it nothing more, and don't wait until it has taken what it is being told."""
        self._is_over = True
        self._woken.set()
        if self._patience is not None:
            self._patience.reschedule(0.0)

    async def run(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Give it what it wants to be told, for `LONGEST_S` or until the feed closes.

        Args:
            write: gives it a piece, and waits until there is room for the next.

        Raises `SlowListenerError` if it takes too long for a piece, or is behind all that is kept.
        """
        until = time.monotonic() + LONGEST_S
        await self._write(write, self._greeting)
        while not self._is_over and time.monotonic() < until:
            self._woken.clear()
            if piece := self._take():
                await self._write(write, piece)
            else:
                await self._wait(write)

    async def _wait(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Wait for something new; say now and then that there is nothing, or what lies between would close."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self._woken.wait()
        except TimeoutError:
            await self._write(write, _HEARTBEAT)

    async def _write(self, write: Callable[[bytes], Awaitable[None]], piece: bytes) -> None:
        try:
            async with asyncio.timeout(_WRITE_S) as self._patience:
                await write(piece)
        except TimeoutError as error:
            raise SlowListenerError from error
        finally:
            self._patience = None

    def _take(self) -> bytes:
        """What it hasn't been told; empty if there is nothing."""
        events = self._feed.events.after(self._cursor, _EVENTS_IN_PIECE)
        if events is None:
            raise SlowListenerError
        self._cursor += len(events)
        pieces = [event.text for event in events if event.kind in self.kinds]
        if self._second != self._feed.second:
            self._second = self._feed.second
            if EventKind.READINGS in self.kinds:
                pieces.append(self._feed.reading)
            if EventKind.REQUESTS in self.kinds:
                pieces.append(self._take_requests())
        if not pieces and len(events) == _EVENTS_IN_PIECE:
            self._woken.set()  # there may be more
        return b"".join(pieces)

    def _take_requests(self) -> bytes:
        """The newest requests that it wants and hasn't been told; empty if there are none."""
        recent = self._feed.recent
        wanted = filter(self._requests.matches, recent.since(self._last_request))
        views = [view_of(outcome) for outcome in islice(wanted, REQUESTS_AT_ONCE)]
        left_out = sum(1 for _ in wanted)
        self._last_request = recent.last
        if not views:
            return b""
        return sse(EventKind.REQUESTS, msgspec.json.encode({"requests": views, "left_out": left_out}))
