"""Which header fields pass through the proxy, in which direction, and how the rest of a head is written.

Everything passes, in order and spelling, save what belongs to one connection only (RFC 9110 §7.6.1), what the sender of
a message has to say anew, and, towards a provider, whatever the client proves its identity with.

What is kept of a head comes as lines of another, ready to be sent.
"""

from collections.abc import Sequence
from typing import Final

Field = tuple[bytes, bytes, bytes]
"""A name in lower case, by which it is looked up, and the name and the value as they stood on the wire."""


_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_SAID_ANEW: Final = frozenset({b"host", b"content-length", b"content-encoding", b"expect"})
_CREDENTIALS: Final = frozenset(
    {b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"}
)

HANDSHAKE: Final = frozenset(
    {b"sec-websocket-" + name for name in (b"accept", b"extensions", b"key", b"protocol", b"version")}
)
"""Fields that open a WebSocket (RFC 6455 §11.3), and mean nothing where none is opened."""

NOT_FORWARDED: Final = _HOP_BY_HOP | _SAID_ANEW | _CREDENTIALS | HANDSHAKE
"""Fields of a client's request that no provider gets to see."""
NOT_RETURNED: Final = _HOP_BY_HOP | {b"proxy-authenticate", b"proxy-authentication-info"}
"""Fields of a provider's answer that no client gets to see."""

# What `Connection` says in nearly every message, of fields that are dropped anyway.
_USUAL_OPTIONS: Final = frozenset({b"keep-alive", b"Keep-Alive", b"close"})
# More than this is not kept of the names of a peer's last head, so that a connection keeps little.
_KEPT_BYTES: Final = 4096


class FieldNames:
    """The names of a head's fields, and all that follows from them whatever the values are.

    Args:
        names: in order, as they stood on the wire.

    Attributes:
        names: the same.
        plain: in lower case.
        repeated: those that came more than once, in lower case, and the places of each.
    """

    __slots__ = ("_dropped", "_form", "names", "plain", "repeated")

    def __init__(self, names: Sequence[bytes]) -> None:
        self.names = names
        self.plain = [name.lower() for name in names]
        self.repeated: dict[bytes, list[int]] = {}
        if len(set(self.plain)) < len(names):
            for place, plain in enumerate(self.plain):
                self.repeated.setdefault(plain, []).append(place)
            self.repeated = {plain: places for plain, places in self.repeated.items() if len(places) > 1}
        self._dropped: frozenset[bytes] | None = None
        self._form = b""

    def form_without(self, dropped: frozenset[bytes]) -> bytes:
        """The lines of a head as a format for all of its values, of which those of the `dropped` names give nothing."""
        if self._dropped is not dropped:
            self._dropped = dropped
            self._form = b"".join(
                [
                    # Some servers read an underscore as a hyphen; such a double must not bring a dropped field back.
                    b"%.0b"
                    if plain in dropped or plain.replace(b"_", b"-") in dropped
                    else name.replace(b"%", b"%%") + b": %b\r\n"
                    for plain, name in zip(self.plain, self.names, strict=True)
                ]
            )
        return self._form


class Head:
    """The header fields of one message.

    Args:
        names: of the fields.
        in_order: their values, free of control characters (the parsers refuse them).

    Attributes:
        values: by lower-case name; of several fields of one name, combined (RFC 9110 §5.3).
    """

    __slots__ = ("_in_order", "_lines", "_lines_without", "_names", "values")

    def __init__(self, names: FieldNames, in_order: Sequence[bytes]) -> None:
        self._names = names
        self._in_order = in_order
        self.values = dict(zip(names.plain, in_order))  # noqa: B905 - of one length, and to check it takes its time
        if names.repeated:
            for plain, places in names.repeated.items():
                self.values[plain] = b", ".join([in_order[place] for place in places])
        self._lines_without: frozenset[bytes] | None = None
        self._lines = b""

    @classmethod
    def of(cls, fields: Sequence[Field]) -> "Head":
        """The head that has these fields, in order."""
        return cls(FieldNames([name for _, name, _ in fields]), [value for _, _, value in fields])

    @property
    def fields(self) -> list[Field]:
        """All of them, in order."""
        return list(zip(self._names.plain, self._names.names, self._in_order, strict=True))

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
            self._lines = self._names.form_without(dropped) % tuple(self._in_order)
        return self._lines


class HeadReader:
    """Makes heads of the fields that llhttp reports, one head after the other from the same peer.

    A peer's heads mostly differ in their values alone, so what follows from the names of one is kept for the next: a
    field then costs hardly more than to report it.

    Attributes:
        reported: the names and values of the head, or the trailer, under way, in turn.
    """

    __slots__ = ("_last", "reported")

    def __init__(self) -> None:
        self.reported: list[bytes] = []
        self._last = FieldNames(())

    def add(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        self.reported += (name, value)

    def take(self) -> Head:
        """The head that was reported since the last one."""
        reported, last = self.reported, self._last
        names = reported[::2]
        if names != last.names:
            last = FieldNames(names)
            if sum(map(len, names)) <= _KEPT_BYTES:
                self._last = last
        self.reported = []
        return Head(last, reported[1::2])

    def clear(self) -> None:
        """Drop what was reported."""
        self.reported = []
