"""Which header fields pass through the proxy, in which direction, and how the rest of a head is written.

Everything passes, in order and spelling, save what belongs to one connection only (RFC 9110 §7.6.1), what the sender of
a message has to say anew, and, towards a provider, whatever the client proves its identity with.

A field is its name in lower case, by which it is looked up, and its name and value as they stood on the wire; what is
kept of a head comes as lines of another, ready to be sent.
"""

from collections.abc import Sequence

Field = tuple[bytes, bytes, bytes]
Fields = Sequence[Field]

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_SAID_ANEW = frozenset({b"host", b"content-length", b"content-encoding", b"expect"})
_CREDENTIALS = frozenset(
    {b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"}
)

HANDSHAKE = frozenset(
    {b"sec-websocket-" + name for name in (b"accept", b"extensions", b"key", b"protocol", b"version")}
)
"""Fields that open a WebSocket (RFC 6455 §11.3), and mean nothing where none is opened."""

NOT_FORWARDED = _HOP_BY_HOP | _SAID_ANEW | _CREDENTIALS | HANDSHAKE
"""Fields of a client's request that no provider gets to see."""
NOT_RETURNED = _HOP_BY_HOP | {b"proxy-authenticate", b"proxy-authentication-info"}
"""Fields of a provider's answer that no client gets to see."""

# What `Connection` says in nearly every message, of fields that are dropped anyway.
_USUAL_OPTIONS = frozenset({b"keep-alive", b"close"})


def request_lines(fields: Fields, dropped: frozenset[bytes] = NOT_FORWARDED) -> bytes:
    """The fields of a client's request that go to the provider.

    The body is forwarded decompressed, so its Content-Encoding doesn't go along.

    Args:
        fields: as the client sent them.
        dropped: names in lower case, those of `NOT_FORWARDED` among them.
    """
    dropped = dropped | options if (options := _connection_options(fields)) else dropped
    return b"".join(
        [
            b"%b: %b\r\n" % (name, value)
            for plain, name, value in fields
            # Some servers read an underscore as a hyphen; such a double must not bring a dropped field back.
            if plain not in dropped and (b"_" not in plain or plain.replace(b"_", b"-") not in dropped)
        ]
    )


def response_lines(fields: Fields, dropped: frozenset[bytes] = NOT_RETURNED) -> bytes:
    """The fields of a provider's answer that go to the client.

    Args:
        fields: as the provider sent them, free of control characters (the parser refuses them).
        dropped: names in lower case, those of `NOT_RETURNED` among them.
    """
    dropped = dropped | options if (options := _connection_options(fields)) else dropped
    return b"".join([b"%b: %b\r\n" % (name, value) for plain, name, value in fields if plain not in dropped])


def field_value(fields: Fields, name: bytes) -> bytes | None:
    """The value of the first field of this lower-case name; None if there is none."""
    for plain, _, value in fields:
        if plain == name:
            return value
    return None


def text_value(fields: Fields, name: bytes) -> str:
    """The same as text, "" if there is none. A field's bytes may be any; ISO-8859-1 has a character for each."""
    value = field_value(fields, name)
    return "" if value is None else value.decode("latin-1")


def _connection_options(fields: Fields) -> frozenset[bytes]:
    """The fields that `Connection` names beside the usual."""
    named = [value for plain, _, value in fields if plain == b"connection"]
    if not named or (len(named) == 1 and named[0].lower() in _USUAL_OPTIONS):
        return frozenset()
    return frozenset([option.strip().lower() for option in b",".join(named).split(b",")])
