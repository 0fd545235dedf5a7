"""Where a request stands in a trace: what its client said of that, and what its providers are told.

https://www.w3.org/TR/trace-context/. Nothing here needs OpenTelemetry.
"""

import re
from collections.abc import Sequence
from random import getrandbits

from proxy.wire import Field, Head

_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)
_TRACE = frozenset({b"traceparent", b"tracestate"})
_SAMPLED = 1
_RATIO_BITS = 64


class AttemptSpan:
    """The span of one attempt, as its provider is told of it.

    Args:
        id: its own.
        fields: what says so.
        address: the host and port of the provider.
    """

    __slots__ = ("_fields", "address", "id")

    def __init__(self, id: int, fields: Sequence[Field], address: tuple[str, int]) -> None:  # noqa: A002 - its name
        self.id = id
        self._fields = fields
        self.address = address

    def head(self, client: Head) -> Head:
        """The client's head, in which this span takes the place of the client's own."""
        return Head.of([*(field for field in client.fields if field[0] not in _TRACE), *self._fields])


class RequestSpan:
    """The span of one request.

    Args:
        head: what the client sent; its `traceparent` names the parent.
        sample: the share of the requests without a parent whose spans are kept; a parent decides for itself.

    Attributes:
        trace_id: of the trace.
        id: its own.
        parent_id: the client's span; 0 if it named none.
        is_sampled: whether its spans are kept.
    """

    __slots__ = ("_state", "id", "is_sampled", "parent_id", "trace_id")

    def __init__(self, head: Head, sample: float) -> None:
        self.id = _new_id(64)
        self._state: list[Field] = []
        if parent := _parent(head):
            self.trace_id, self.parent_id, self.is_sampled = parent
            if state := head.values.get(b"tracestate"):
                self._state.append((b"tracestate", b"tracestate", state))
            return
        self.trace_id = _new_id(128)
        self.parent_id = 0
        # As OpenTelemetry decides it, so that all who take part decide alike.
        self.is_sampled = self.trace_id & ((1 << _RATIO_BITS) - 1) < round(sample * (1 << _RATIO_BITS))

    def attempt(self, address: tuple[str, int]) -> AttemptSpan:
        """The span of a new attempt at a provider with this host and port."""
        own = _new_id(64)
        parent = b"00-%032x-%016x-%02x" % (self.trace_id, own, self.is_sampled)
        return AttemptSpan(own, [(b"traceparent", b"traceparent", parent), *self._state], address)


def _parent(head: Head) -> tuple[int, int, bool] | None:
    """The client's trace, its span, and whether it keeps them; None if it says nothing that can be read."""
    if (value := head.values.get(b"traceparent")) is None or (read := _TRACEPARENT.fullmatch(value)) is None:
        return None
    version, trace_id, span_id, flags, more = read.groups()
    if more and version == b"00":  # only later ones may have more to say
        return None
    return int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED)


def _new_id(bits: int) -> int:
    """Unlike any other, not secret, and not 0, which means none."""
    return getrandbits(bits) or 1
