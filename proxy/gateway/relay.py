"""From the head of a provider's answer to the end of the client's: each piece is passed on the moment it comes.

Once the head is out nothing can be taken back, so a provider that breaks off must look broken to the client as well:
a stream of events gets an error event that its SDK raises on, and every answer is cut rather than ended.
"""

import asyncio
from typing import Final

from proxy.config import RouteOptions
from proxy.deadline import Deadline
from proxy.errors import Failure, ProxyError, WithdrawnError
from proxy.gateway.exchange import Exchange
from proxy.gateway.response import Response, date_line
from proxy.telemetry import STALL_S, Ending, Outcome
from proxy.upstream import Answer
from proxy.wire import (
    BOUNDARY_BYTES,
    NOT_RETURNED,
    Call,
    UsageWatch,
    ends_event,
    error_event,
    has_plain_events,
    tokens_in,
)

_PING: Final = b": ping\n\n"
# A member of an enum is looked up in a tenth of the time under a name of its own.
_COMPLETE: Final = Ending.COMPLETE
# What the head says anew: the length, and where the answer comes from.
_SAID_ANEW: Final = NOT_RETURNED | {
    b"content-length",
    b"x-pointsman-provider",
    b"x-pointsman-model",
    b"x-pointsman-attempts",
    b"x-pointsman-revision",
}


async def relay(
    reply: Exchange, response: Response, added: bytes, call: Call, options: RouteOptions, outcome: Outcome
) -> None:
    """Pass on a provider's answer.

    Args:
        reply: the answer, whose head is here.
        response: the answer to the client.
        added: lines of the head beside the provider's.
        call: what was asked for.
        options: the route's.
        outcome: the request's record, filled in on the way.
    """
    answer = reply.answer
    message = answer.message
    lines = message.head.lines_without(_SAID_ANEW) + added
    if b"date" not in message.head.values:
        lines += date_line()
    outcome.status = message.status
    outcome.served_by = reply.record
    if message.is_complete:
        body = reply.take()
        response.whole(message.status, message.reason, lines, body)
        outcome.body_bytes = len(body)
        outcome.tokens = tokens_in(body)
        outcome.ending = _COMPLETE
        return
    first = reply.take()
    response.begin(message.status, message.reason, lines, message.length, first)
    takes_events = has_plain_events(message.head)
    stream = _Stream(answer, response, outcome, first, options.ping_s if takes_events else None)
    outcome.stream = stream
    try:
        broken = await stream.over
    finally:
        outcome.stream = None
        stream.stop()
    if broken is None:
        outcome.ending = _COMPLETE
        return
    # There is no status left to say it with: it must look broken instead.
    error: ProxyError
    if isinstance(broken, WithdrawnError):
        error = broken
        outcome.ending = Ending.WITHDRAWN
        outcome.code = error.code
    else:
        error = answer.explain(broken)
        outcome.ending = Ending.CUT
        outcome.failure = Failure.CUT
        reply.record.fail(Failure.CUT, error.message, message.status)
    outcome.error = error.message
    if takes_events and ends_event(stream.tail):
        response.write(error_event(error, call.protocol, call.operation, outcome.id))
    response.cut()


class _Stream:
    """Takes the pieces of an answer out of the provider's connection and puts them into the client's.

    All of it happens in the event loop's own callbacks; the request's task sleeps until `over`. A client that can't
    keep up pauses the provider.

    Attributes:
        over: None once the answer is complete, or what broke it.
        tail: how the stream ends so far.
    """

    __slots__ = (
        "_clock",
        "_last_at",
        "_message",
        "_outcome",
        "_ping",
        "_ping_s",
        "_response",
        "_usage",
        "over",
        "tail",
    )

    def __init__(
        self, answer: Answer, response: Response, outcome: Outcome, first: bytes, ping_s: float | None
    ) -> None:
        self._outcome = outcome
        self._usage = outcome.usage = UsageWatch()
        self._response = response
        self._message = answer.message
        self.tail = b""
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[BaseException | None] = loop.create_future()
        self._clock = loop.time
        self._last_at = loop.time()
        self._ping_s = ping_s
        self._ping = None if ping_s is None else Deadline(loop, self._keep_alive)
        self._note(first)
        response.source = answer
        timeouts = answer.timeouts
        answer.pour(self, timeouts.idle_s, outcome.started + timeouts.total_s)

    def write(self, data: bytes) -> None:
        """Pass on the next piece; the last one together with the end."""
        if self._message.is_complete:
            self._response.end(data)
        else:
            self._response.write(data)
        now = self._clock()
        if now - self._last_at > STALL_S:
            self._outcome.stalls += 1
        self._last_at = now
        self._note(data)

    def _note(self, data: bytes) -> None:
        self.tail = data if len(data) >= BOUNDARY_BYTES else self.tail[-BOUNDARY_BYTES:] + data
        self._outcome.body_bytes += len(data)
        self._usage.feed(data)
        if self._ping is not None and self._ping_s is not None:
            self._ping.set(self._ping_s)

    def _keep_alive(self) -> None:
        """The provider has been silent for a while: send a comment, so that nothing between here and the client closes.

        https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes
        """
        if self._ping is not None and self._ping_s is not None and not self.over.done():
            if ends_event(self.tail):
                self._response.write(_PING)
            self._ping.set(self._ping_s)

    def stop(self) -> None:
        """Send no more comments."""
        if self._ping is not None:
            self._ping.clear()

    def cut(self, error: WithdrawnError) -> None:
        """See `telemetry`'s `Stream`."""
        self.close(error)

    def close(self, error: BaseException | None) -> None:
        """Pass on the end, at once."""
        if error is None and not self._response.is_complete:
            self._response.end()
        if not self.over.done():
            self.over.set_result(error)
