"""One HTTP/1.1 connection to a provider: a request out, its answer in, one exchange after the other.

The body of an answer is handed on as it comes; where nobody takes it, reading from the provider pauses. A connection on
which anything went wrong, or whose answer nobody read to its end, is never used again.
"""

import asyncio
from collections.abc import AsyncIterator
from enum import StrEnum, auto
from typing import cast

from proxy.upstream.parser import AnswerParser, InvalidAnswerError

# What may wait here for its reader before reading from the provider pauses.
_BUFFER_BYTES = 128 * 1024


class Phase(StrEnum):
    """How far an exchange had come when it broke."""

    CONNECT = auto()
    TLS = auto()
    HEAD = auto()
    """The request was sent, wholly or in part, and the head of the answer was not here."""
    BODY = auto()


class BrokenError(Exception):
    """An exchange that can't go on.

    Attributes:
        reason: what happened, as the end of a sentence that begins with the provider.
        phase: how far it had come.
        received: whether any byte of the answer had come.
        reused: whether the connection had served before, so that it may have been closed before the request arrived.
    """

    def __init__(self, reason: str, phase: Phase, *, received: bool = False, reused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.phase = phase
        self.received = received
        self.reused = reused


class SilenceError(BrokenError):
    """The provider took longer than its time limit."""


class Connection(asyncio.Protocol):
    """A connection that is open, or was.

    Attributes:
        answer: what has come of the answer.
        idle_since: when the last exchange ended, by the event loop's clock.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wait_until = self._limit_s = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._is_reading = True
        self._exchanges = 0
        self.answer = AnswerParser()
        self.idle_since = 0.0

    # What the owner of an exchange asks for.

    @property
    def is_reusable(self) -> bool:
        """Whether another exchange can follow."""
        return (
            self.answer.is_complete
            and self.answer.stays_open
            and self._error is None
            and (self._sender is None or self._sender.done())
            and self._transport is not None
            and not self._transport.is_closing()
        )

    async def exchange(self, head: bytes, body: bytes | AsyncIterator[bytes], *, chunked: bool, limit_s: float) -> None:
        """Send a request and wait for the head of its answer.

        Args:
            head: the request's head, complete.
            body: all of it, or a stream.
            chunked: whether a stream goes in chunks; otherwise the head announces its length.
            limit_s: how long the provider may be silent from the last byte that it was sent.

        Raises `BrokenError`, `SilenceError`, or what reading a streamed body raises.
        """
        self.answer.begin()
        self._exchanges += 1
        if self._transport is None:
            raise self._broken("closed the connection before it was asked")
        self._extend(limit_s)
        if isinstance(body, bytes):
            self._transport.writelines((head, body))
        else:
            self._transport.write(head)
            self._sender = self._loop.create_task(self._send(body, chunked=chunked, limit_s=limit_s))
        while self._error is None and not self.answer.has_head:
            await self._wait()
        # Also where the head came together with what is wrong behind it: nothing has been passed on yet.
        if self._error is not None:
            raise self._error

    async def read(self, limit_s: float) -> bytes:
        """The next piece of the body, b"" at its end; raises `BrokenError`, or `SilenceError` after `limit_s`."""
        while not self.answer.buffered:
            if self.answer.is_complete:
                return b""
            if self._error is not None:
                raise self._error
            self._extend(limit_s)
            await self._wait()
        data = self.answer.take()
        self._resume_reading()
        return data

    def rest(self) -> None:
        """Note that the connection waits for its next exchange."""
        self.idle_since = self._loop.time()
        self._resume_reading()

    def close(self) -> None:
        """Drop the connection, whatever is under way on it."""
        if self._sender is not None:
            self._sender.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what the provider sends."""
        try:
            self.answer.feed(data)
        except InvalidAnswerError as error:
            if not self.answer.is_complete:
                self._fail(self._broken(error.reason))
            self.close()
            return
        if self.answer.buffered > _BUFFER_BYTES and self._is_reading and self._transport is not None:
            self._is_reading = False
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: that completes an answer that has no other end, and breaks any other that is under way."""
        self._transport = None
        if exc is not None or not self.answer.end():
            head, body = "closed the connection without an answer", "broke off in the middle of its answer"
            self._fail(self._broken(body if self.answer.has_head else head))
        self._wake()
        self.resume_writing()
        if self._sender is not None:
            self._sender.cancel()

    def pause_writing(self) -> None:
        """The provider takes less than it is sent."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The provider has caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # How it waits, and fails.

    def _extend(self, limit_s: float) -> None:
        """Let the provider be silent for `limit_s` from now on."""
        self._limit_s = limit_s
        self._wait_until = self._loop.time() + limit_s

    async def _wait(self) -> None:
        """Wait until something happens, or fail at `_wait_until`."""
        self._waiter = self._loop.create_future()
        # One alarm serves many waits: it looks again when it rings, which is cheaper than setting one each time.
        if self._alarm is None or self._alarm.when() > self._wait_until:
            self._set_alarm()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._wait_until, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None:
            return
        if self._loop.time() < self._wait_until:
            self._set_alarm()
        elif self.answer.has_head:
            reason = f"sent nothing for {self._limit_s:g} s in the middle of its answer"
            self._fail(SilenceError(reason, Phase.BODY, received=True, reused=self._exchanges > 1))
        else:
            received = self.answer.received > 0
            reason = f"sent no answer within {self._limit_s:g} s"
            self._fail(SilenceError(reason, Phase.HEAD, received=received, reused=self._exchanges > 1))

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self._wake()

    def _broken(self, reason: str) -> BrokenError:
        phase = Phase.BODY if self.answer.has_head else Phase.HEAD
        return BrokenError(reason, phase, received=self.answer.received > 0, reused=self._exchanges > 1)

    # How it keeps both sides' pace.

    def _resume_reading(self) -> None:
        if not self._is_reading and self._transport is not None:
            self._is_reading = True
            self._transport.resume_reading()

    async def _send(self, body: AsyncIterator[bytes], *, chunked: bool, limit_s: float) -> None:
        """Send a body as it comes, no faster than the provider takes it."""
        try:
            async for piece in body:
                if self._transport is None:
                    return
                self._extend(limit_s)
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if self._writable is not None:
                    await self._writable
            if chunked and self._transport is not None:
                self._transport.write(b"0\r\n\r\n")
        except Exception as error:  # noqa: BLE001 - whatever the body's reader raises is the owner's to handle
            self._fail(error)
            self.close()
