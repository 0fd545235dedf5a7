"""Holding an answer back until it is worth passing on, while it can still be asked for elsewhere.

A stream of events is held up to its first content; with `delivery: whole`, any answer is held up to its end. Both are
bounded in bytes, the first in time as well: who keeps announcing an answer without giving any is let through.
"""

import asyncio

from proxy.config import Delivery
from proxy.upstream import Answer
from proxy.wire import Preamble, Stage, ends_in_error, has_plain_events

# Announcements take a few hundred bytes. OpenAI's repeat the request's instructions and tools, so they may take more.
_PREAMBLE_BYTES = 256 * 1024
# What a provider says for so long before its first content is meant for the client: it keeps connections alive.
_PREAMBLE_S = 30.0
_WHOLE_BYTES = 16 * 1024 * 1024


class Held:
    """The beginning of an answer; a sink for what comes until it is let go.

    Args:
        is_whole: whether it is held up to its end.
        is_stream: whether it is a stream of events.

    Attributes:
        stage: how far a stream of events has come.
        broken: what broke it, if anything did.
    """

    __slots__ = ("_is_whole", "_loop", "_over", "_pieces", "_preamble", "_since", "_size", "broken", "stage")

    def __init__(self, *, is_whole: bool, is_stream: bool) -> None:
        self._is_whole = is_whole
        self._preamble = Preamble() if is_stream else None
        self._pieces: list[bytes] = []
        self._size = 0
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self.stage = Stage.PREAMBLE if is_stream else Stage.CONTENT
        self.broken: BaseException | None = None

    async def collect(self, answer: Answer, until: float) -> None:
        """Hold the answer until it can go, or is broken."""
        if answer.message.is_complete:
            self.write(answer.message.take())
            self.close(None)
        else:
            answer.pour(self, answer.timeouts.idle_s, until)
            await self._over
        if (
            self._is_whole
            and self.stage is Stage.CONTENT
            and self._preamble
            and ends_in_error(b"".join(self._pieces[-2:]))
        ):
            self.stage = Stage.ERROR

    @property
    def body(self) -> bytes:
        """What is held so far."""
        return b"".join(self._pieces)

    def take(self) -> bytes:
        """What was held, which is then no longer."""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, data: bytes) -> None:
        """Hold the next piece."""
        self._pieces.append(data)
        self._size += len(data)
        if self._preamble is not None:
            self.stage = self._preamble.feed(data)
        if self._is_whole:
            is_over = self._size > _WHOLE_BYTES
        else:
            is_late = self._size > _PREAMBLE_BYTES or self._loop.time() - self._since > _PREAMBLE_S
            is_over = is_late or self.stage is not Stage.PREAMBLE
            if is_late and self.stage is Stage.PREAMBLE:
                self.stage = Stage.CONTENT
        if is_over and not self._over.done():
            self._over.set_result(None)

    def close(self, error: BaseException | None) -> None:
        """Note the end."""
        self.broken = error
        if not self._over.done():
            self._over.set_result(None)


def must_hold(answer: Answer, delivery: Delivery) -> Held | None:
    """What to hold a successful answer with; None if it can go at once."""
    is_stream, is_whole = has_plain_events(answer.message.head), delivery is Delivery.WHOLE
    return Held(is_whole=is_whole, is_stream=is_stream) if is_stream or is_whole else None


async def read_refusal(answer: Answer, until: float) -> Held:
    """Hold the body of a short answer, as far as it tells why it is one."""
    held = Held(is_whole=True, is_stream=False)
    await held.collect(answer, until)
    return held
