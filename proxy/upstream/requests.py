"""What is asked of a provider, before its own headers and credential are added."""

from collections.abc import AsyncIterator

import msgspec

from proxy.config.settings import Secret, Timeouts


class Payload:
    """A request body on its way to a provider.

    Args:
        data: the bytes, or a stream of them that is read once.
        length: bytes in `data`; None where a stream's length is not known beforehand.
    """

    __slots__ = ("data", "length")

    def __init__(self, data: bytes | AsyncIterator[bytes], length: int | None) -> None:
        self.data = data
        self.length = length


class ProviderRequest(msgspec.Struct, frozen=True):
    """An HTTP request."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    own_headers: tuple[tuple[str, Secret], ...]
    """What the endpoint sets; wins over the provider's headers, as those win over the client's."""
    payload: Payload
    timeouts: Timeouts


class WebSocketRequest(msgspec.Struct, frozen=True):
    """A WebSocket to open."""

    url: str
    headers: list[tuple[str, str]]
    own_headers: tuple[tuple[str, Secret], ...]
    subprotocols: tuple[str, ...]
    max_message_bytes: int
    ping_every_s: float
    timeouts: Timeouts
