"""Which header fields pass through the proxy, in which direction.

Everything passes, in order and spelling, save what belongs to one connection only (RFC 9110 §7.6.1), what the sender of
a message has to say anew, and, towards a provider, whatever the client proves its identity with.
"""

import re
from collections.abc import Iterable

RawHeaders = Iterable[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_SAID_ANEW = frozenset({b"host", b"content-length", b"content-encoding", b"expect"})
_CREDENTIALS = frozenset(
    {b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"}
)
_NOT_FORWARDED = _HOP_BY_HOP | _SAID_ANEW | _CREDENTIALS
_NOT_RETURNED = _HOP_BY_HOP | {b"proxy-authenticate", b"proxy-authentication-info"}
_HANDSHAKE = b"sec-websocket-"
# RFC 9110 §5.5 allows none of these; aiohttp would cut the client's connection over one.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def request_headers(raw: RawHeaders) -> list[tuple[str, str]]:
    """The fields of a client's request that go to the provider.

    The body is forwarded decompressed, so its Content-Encoding doesn't go along.
    """
    raw = list(raw)
    dropped = _NOT_FORWARDED | _named_by_connection(raw)
    return [
        (_text(name), _text(value))
        for name, value in raw
        # Some servers read an underscore as a hyphen; such a double must not bring a dropped field back.
        if (plain := name.lower().replace(b"_", b"-")) not in dropped and not plain.startswith(_HANDSHAKE)
    ]


def response_headers(raw: RawHeaders) -> list[tuple[str, str]]:
    """The fields of a provider's answer that go to the client."""
    raw = list(raw)
    dropped = _NOT_RETURNED | _named_by_connection(raw)
    return [
        (_text(name), _text(value))
        for name, value in raw
        if name.lower() not in dropped and not _CONTROL.search(name) and not _CONTROL.search(value)
    ]


def _named_by_connection(raw: RawHeaders) -> frozenset[bytes]:
    options = b",".join(value for name, value in raw if name.lower() == b"connection")
    return frozenset(option.strip().lower() for option in options.split(b","))


def _text(value: bytes) -> str:
    """The bytes in the form in which aiohttp turns them back into the same bytes."""
    return value.decode("utf-8", "surrogateescape")
