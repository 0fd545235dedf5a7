"""What is asked of a provider, before its own headers and credential are added, and where its answer goes."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from proxy.config.settings import Secret, Timeouts
from proxy.wire import Head

Buffer = bytes | memoryview


class Payload:
    """A request body on its way to a provider.

    Args:
        data: its pieces, or a stream of them that is read once.
        length: bytes in `data`; None where a stream's length is not known beforehand.
    """

    __slots__ = ("data", "length")

    def __init__(self, data: tuple[Buffer, ...] | AsyncIterator[bytes], length: int | None) -> None:
        self.data = data
        self.length = length


class ProviderRequest(msgspec.Struct, frozen=True):
    """An HTTP request.

    Attributes:
        url: where, with the model's id in it if it belongs there.
        head: all of the client's header fields; what doesn't go to providers is left out on the way.
        own_headers: what the endpoint sets; wins over the provider's headers, as those win over the client's.
        payload: the body; None asks for a WebSocket, with the client's own handshake.
    """

    method: str
    url: str
    head: Head
    own_headers: tuple[tuple[str, Secret], ...]
    timeouts: Timeouts
    payload: Payload | None


class Sink(Protocol):
    """Where a body goes."""

    def write(self, data: bytes) -> None:
        """Take the next piece; the sink asks the connection to pause where it can't keep up."""
        ...

    def close(self, error: BaseException | None) -> None:
        """Take the end: None if the body is complete."""
        ...
