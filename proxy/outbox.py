"""Writing to many peers at a stretch."""

import asyncio
from collections.abc import Sequence
from typing import Final

# A bound on how late the first of them can be; the number is a guess that no measurement has contradicted.
MOST_WAITING: Final = 32
# Up to here one copy is cheaper than handing the kernel several buffers.
JOINED_BYTES: Final = 16 * 1024


class Outbox:
    """What is written in one turn of the event loop goes out together, while there is much to write.

    A write to a peer on the same machine that sleeps has to wake it, which costs as much as all the rest of the write.
    Where several things are ready at the same time, the peer gets one after the other without being left the time to
    fall asleep between them. Only so many wait for each other: in a turn with a thousand the first would be late.
    Where there was one peer alone in the turn before, the next write goes out at once: a lone request waits for
    nothing. Small pieces that wait for the same peer become one write.

    Args:
        loop: the event loop whose turns count.
    """

    __slots__ = ("_first", "_is_busy", "_loop", "_waiting", "_was_busy")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # In this turn: who was written to at first, whether others were as well, and what still waits.
        self._first: asyncio.Transport | None = None
        self._is_busy = self._was_busy = False
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send `data`, in this turn or at the beginning of the next; what is written here stays in order."""
        waiting = self._waiting
        if self._first is None:
            self._first = transport
            self._loop.call_soon(self._end_turn)
            waiting.append((transport, data))
            if not self._was_busy:
                self.flush()
            return
        if transport is not self._first:
            self._is_busy = True
        if waiting:
            last, before = waiting[-1]
            if last is transport and len(before) + len(data) <= JOINED_BYTES:
                waiting[-1] = (transport, before + data)
                return
        waiting.append((transport, data))
        if len(waiting) >= MOST_WAITING:
            self.flush()

    def writelines(self, transport: asyncio.Transport, pieces: Sequence[bytes]) -> None:
        """Send large pieces without joining them, at once."""
        self.flush()
        if not transport.is_closing():
            transport.writelines(pieces)

    def flush(self) -> None:
        """Send what waits: before anything is done to a transport by another way."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for transport, data in waiting:
                # A peer may go away in the same turn; uvloop's transports take nothing from then on.
                if not transport.is_closing():
                    transport.write(data)

    def _end_turn(self) -> None:
        self.flush()
        self._first = None
        self._was_busy = self._is_busy
        self._is_busy = False
