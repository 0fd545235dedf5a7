"""What came to a provider: a record of each request, and counters."""

import asyncio
from collections.abc import Iterable

import msgspec

_BODY_KEPT_BYTES = 64 * 1024


class SeenRequest:
    """A request as it arrived; recorded with its head, so that one that never ends is seen as well.

    Attributes:
        method: as it was sent.
        path: with its query, undecoded.
        headers: in order, as they were spelled.
        body: the first 64 KiB of the body, once all of it is there.
        body_bytes: the size of the whole body.
        ended: set when the answer is complete, or the connection is gone.
        completed: whether the whole answer was sent; final once `ended` is set.
    """

    def __init__(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.path = path
        self.headers = [(name.decode("utf-8", "replace"), value.decode("utf-8", "replace")) for name, value in headers]
        self.body = b""
        self.body_bytes = 0
        self.ended = asyncio.Event()
        self.completed = False

    def keep(self, body: bytes) -> None:
        """Remember the body."""
        self.body = body[:_BODY_KEPT_BYTES]
        self.body_bytes = len(body)


class Counters(msgspec.Struct):
    """How many requests there were since the start or the latest reset."""

    received: int = 0
    """All of them, those under way too."""
    completed: int = 0
    """Answered to the end, with errors too."""
    aborted: int = 0
    """Broken off by the client or by a fault."""
