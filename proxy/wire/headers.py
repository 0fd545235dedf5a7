"""Which header fields pass through the proxy, in which direction, and how the rest of a head is written.

Everything passes, in order and spelling, save what belongs to one connection only (RFC 9110 §7.6.1), what the sender of
a message has to say anew, and, towards a provider, whatever the client proves its identity with.

What is kept of a head comes as lines of another, ready to be sent.
"""

from collections.abc import Sequence

Field = tuple[bytes, bytes, bytes]
"""A name in lower case, by which it is looked up, and the name and the value as they stood on the wire."""


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
_USUAL_OPTIONS = frozenset({b"keep-alive", b"Keep-Alive", b"close"})


class Head:
    """The header fields of one message.

    Args:
        fields: in order, free of control characters (the parsers refuse them).

    Attributes:
        fields: the same.
        values: by lower-case name; of several fields of one name, combined (RFC 9110 §5.3).
    """

    __slots__ = ("_lines", "_lines_without", "fields", "values")

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = fields
        self.values = {plain: value for plain, _, value in fields}
        if len(self.values) < len(fields):
            self.values = _combined(fields)
        self._lines_without: frozenset[bytes] | None = None
        self._lines = b""

    def text(self, name: bytes) -> str:
        """A value as text, "" if there is none. Its bytes may be any; ISO-8859-1 has a character for each."""
        return self.values.get(name, b"").decode("latin-1")

    def field(self, name: str) -> str:
        """The same, by a name in any case."""
        return self.text(name.lower().encode())

    def lines_without(self, dropped: frozenset[bytes]) -> bytes:
        """The fields as lines of a head, without those of the `dropped` names and those that `Connection` names."""
        # A client's head may come again and again, and then mostly goes to the same place.
        if self._lines_without is not dropped:
            self._lines_without = dropped
            if (options := self.values.get(b"connection")) and options not in _USUAL_OPTIONS:
                dropped = dropped.union(option.strip().lower() for option in options.split(b","))
            self._lines = b"".join(
                [
                    b"%b: %b\r\n" % (name, value)
                    for plain, name, value in self.fields
                    # Some servers read an underscore as a hyphen; such a double must not bring a dropped field back.
                    # (With `in` CPython would first try the bytes as a number, and fail, at several times the cost.)
                    if plain not in dropped and (plain.rfind(b"_") < 0 or plain.replace(b"_", b"-") not in dropped)
                ]
            )
        return self._lines


def _combined(fields: Sequence[Field]) -> dict[bytes, bytes]:
    together: dict[bytes, list[bytes]] = {}
    for plain, _, value in fields:
        together.setdefault(plain, []).append(value)
    return {plain: b", ".join(values) for plain, values in together.items()}
