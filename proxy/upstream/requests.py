"""What goes to a provider, and where comes what it answers."""

from collections.abc import AsyncIterator
from typing import Final, Protocol

Buffer = bytes | bytearray | memoryview


Body = tuple[Buffer, ...] | AsyncIterator[bytes]
"""A request body: its pieces, or a stream of them that is read once."""


class Payload:
    """A request body on its way to a provider.

    Args:
        data: the body.
        length: bytes in it; None where a stream's length is not known beforehand.
    """

    __slots__ = ("data", "length")

    def __init__(self, data: Body, length: int | None) -> None:
        self.data = data
        self.length = length


NOTHING: Final = Payload((), 0)
"""No body."""


class Sink(Protocol):
    """Where a body goes."""

    def write(self, data: bytes) -> None:
        """Take the next piece; the sink asks the connection to pause where it can't keep up."""
        ...

    def close(self, error: BaseException | None) -> None:
        """Take the end: None if the body is complete."""
        ...
