"""One HTTP/1.1 connection to a provider: a request out, its answer in, one exchange after the other.

The body of an answer is poured into a sink from within the event loop's own callback, without waking a task. Until
there is one, and where it can't keep up, reading from the provider pauses. A connection on which something went wrong,
or whose answer didn't come to its end, is never used again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from math import inf
from typing import Final, cast

from proxy.deadline import Deadline
from proxy.outbox import JOINED_BYTES, Outbox
from proxy.upstream.broken import BrokenError, Phase, SilenceError
from proxy.upstream.parser import AnswerParser, InvalidAnswerError
from proxy.upstream.requests import Payload, Sink

# What may wait here for its sink before reading from the provider pauses.
_BUFFER_BYTES: Final = 128 * 1024


class Connection(asyncio.Protocol):
    """A connection that is open, or was.

    Attributes:
        answer: what has come of the answer.
        error: what broke it, if anything did.
        transport: while it is open.
        idle_since: when the last exchange ended, by the event loop's clock.
        on_closed: called when the connection ends while it rests between two exchanges.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._loop, self._silent)
        self.transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._resumed: asyncio.Event | None = None
        self._sender: asyncio.Task[None] | None = None
        self.error: BaseException | None = None
        self._limit_s = 0.0
        self._is_paused = False
        self._is_sending = False
        self._unsent = 0
        self._exchanges = 0
        self.answer = AnswerParser()
        self.idle_since = 0.0
        self.on_closed: Callable[[], None] | None = None

    # What the owner of an exchange asks for.

    def must_end(self, until: float) -> None:
        """Whatever is waited for in this exchange has to be here by this time, by the event loop's clock."""
        self._deadline.until = until

    def exchange(
        self,
        head: bytes,
        payload: Payload,
        outbox: Outbox,
        limit_s: float,
        may_switch: bool = False,  # noqa: FBT001, FBT002 - positional, for it is called with each request
    ) -> asyncio.Future[None]:
        """Send a request. What it gives is done once the head of the answer is here, or an `error` is.

        Args:
            head: the request's head, complete.
            payload: its body; a stream without a length goes in chunks.
            outbox: what is written to providers.
            limit_s: how long the provider may be silent from the last byte that it was sent.
            may_switch: whether the request asks for another protocol, so that the answer may be a 101.

        Raises `BrokenError` if the connection is closed already.
        """
        self.answer.begin(may_switch=may_switch)
        self._exchanges += 1
        if (transport := self.transport) is None or transport.is_closing():
            reason = "closed the connection before it was asked"
            raise BrokenError(reason, Phase.SEND, reused=self._exchanges > 1)
        self._limit_s = limit_s
        body, length = payload.data, payload.length
        if not isinstance(body, tuple):
            transport.write(head)
            self._is_sending = True
            self._sender = self._loop.create_task(self._send(body, chunked=length is None))
        elif length is not None and length <= JOINED_BYTES:
            outbox.write(transport, b"".join((head, *body)))
        else:
            transport.writelines((head, *body))
        self._deadline.set(limit_s)
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def pour(self, sink: Sink, limit_s: float) -> None:
        """Pass on the rest of the body, or what comes behind a 101, to `sink` as it comes, and its end.

        Args:
            sink: gets all of it, beginning with what is here.
            limit_s: how long the provider may be silent, while it is not paused.
        """
        self._sink = sink
        self._limit_s = limit_s
        self._deadline.set(limit_s)
        if self.answer.pieces:
            sink.write(self.answer.take())
        if self.answer.is_complete or self.error is not None:
            self._end_sink()
        else:
            self.resume()

    def pause(self) -> None:
        """Take nothing more from the provider, whose silence then isn't its own."""
        if not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Take what the provider sends."""
        if self._is_paused and self.transport is not None:
            self._is_paused = False
            self.transport.resume_reading()
            if self._sink is not None:
                self._deadline.set(self._limit_s)

    async def write(self, data: bytes) -> None:
        """Send more, of a body or of the protocol that a 101 switched to, no faster than the provider takes it."""
        if self.transport is not None:
            self.transport.write(data)
            if self._resumed is not None:
                await self._resumed.wait()

    def rest(self) -> bool:
        """Wait for the next exchange, if there can be one."""
        answer, transport = self.answer, self.transport
        if not answer.stays_open or self._is_sending or self.error is not None:
            return False
        if transport is None or transport.is_closing():
            return False
        self.idle_since = self._loop.time()
        if self._is_paused:
            self.resume()
        return True

    def close(self) -> None:
        """Drop the connection, whatever is under way on it."""
        self._sink = None
        if self._sender is not None:
            self._sender.cancel()
        self._deadline.clear()
        if self.transport is not None:
            self.transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what the provider sends."""
        answer = self.answer
        if answer.has_switched:
            answer.pieces.append(data)
        else:
            try:
                answer.feed(data)
            except InvalidAnswerError as error:
                if not answer.is_complete:
                    self.error = self.error or self._broken(error.reason)
                if self.transport is not None:
                    self.transport.abort()
        if (sink := self._sink) is not None:
            self._deadline.set(self._limit_s)
            if answer.pieces:
                sink.write(answer.take())
            if answer.is_complete or self.error is not None:
                self._end_sink()
        else:
            if answer.has_head or self.error is not None:
                self._wake()
            else:
                self._deadline.set(self._limit_s)
            if len(answer.pieces) > 1 or len(data) > _BUFFER_BYTES:
                self._limit_buffer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: that completes an answer that has no other end, and breaks any other that is under way."""
        self.transport = None
        self._deadline.clear()
        if self.answer.has_switched:
            self.answer.is_complete = exc is None
        if self.error is None and (exc is not None or not self.answer.end()):
            head, body = "closed the connection without an answer", "broke off in the middle of its answer"
            self.error = self._broken(body if self.answer.has_head else head)
        if self._resumed is not None:
            self._resumed.set()
        if self._sender is not None:
            self._sender.cancel()
        if self._sink is not None:
            self._end_sink()
        self._wake()
        if self.on_closed is not None:
            self.on_closed()

    def pause_writing(self) -> None:
        """The provider takes less than it is sent."""
        self._resumed = asyncio.Event()

    def resume_writing(self) -> None:
        """The provider has caught up."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    # How it waits, and fails.

    def _limit_buffer(self) -> None:
        if sum(map(len, self.answer.pieces)) > _BUFFER_BYTES:
            self.pause()

    def _wake(self) -> None:
        """End the wait for the head."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _end_sink(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close(None if self.answer.is_complete else self.error)

    def _silent(self) -> None:
        """The time limit of the last wait is over."""
        is_awaited = self._waiter is not None and not self._waiter.done()
        if not is_awaited and self._sink is None:
            # Nobody waits any more.
            return
        if self._deadline.is_last:
            self._fail(self._broken("took longer than the request has time", SilenceError))
            return
        if self._is_paused and not is_awaited:
            # The silence is not the provider's, but all must end some time.
            self._deadline.set(inf)
            return
        unsent = 0 if self.transport is None else self.transport.get_write_buffer_size()
        if 0 < unsent != self._unsent:
            # It is still taking what it is sent.
            self._unsent = unsent
            self._deadline.set(self._limit_s)
            return
        silent, late = "sent nothing for {:g} s in the middle of its answer", "sent no answer within {:g} s"
        reason = (silent if self.answer.has_head else late).format(self._limit_s)
        self._fail(self._broken(reason, SilenceError))

    def _fail(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
        if self._sink is not None:
            self._end_sink()
        self._wake()

    def _broken(self, reason: str, kind: type[BrokenError] = BrokenError) -> BrokenError:
        if self.answer.has_head:
            phase = Phase.BODY
        elif self._is_sending or (self.transport is not None and self.transport.get_write_buffer_size()):
            phase = Phase.SEND
        else:
            phase = Phase.HEAD
        received = self.answer.received > 0
        return kind(reason, phase, sent=True, received=received, reused=self._exchanges > 1)

    # How it sends.

    async def _send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send a body as it comes, no faster than the provider takes it."""
        try:
            async for piece in body:
                self._deadline.set(self._limit_s)
                await self.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                await self.write(b"0\r\n\r\n")
            self._is_sending = False
        except Exception as error:  # noqa: BLE001 - whatever the body's reader raises is the owner's to handle
            self._fail(error)
            self.close()
