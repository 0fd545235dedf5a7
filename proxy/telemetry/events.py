"""The events of this process: numbered, kept for a while, each made ready once for all who are told of it.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum, auto
from itertools import islice
from secrets import token_hex
from typing import NamedTuple

from proxy.routing import Change, DynamicRoute

KEPT = 1000
# Of the routes and drains that one change touches, those that are named.
_MOST_EDITS = 50


class EventKind(StrEnum):
    """What an event tells."""

    CHANGE = auto()
    """Of the routing table: routes, drains, a reload."""
    BREAKER = auto()
    """An endpoint's breaker has changed its state."""
    ALARM = auto()
    """What an operator has to look at."""
    READINGS = auto()
    """What went on in the last second."""
    REQUESTS = auto()
    """The requests that ended in the last second."""


class Event(NamedTuple):
    """One event, as it is sent."""

    kind: EventKind
    text: bytes


class Events:
    """The latest `KEPT` events.

    Attributes:
        last: the number of the latest.
    """

    def __init__(self) -> None:
        self.last = 0
        # Another process counts from one as well: by this a listener learns that it isn't the same.
        self._epoch = token_hex(4)
        self._kept: deque[Event] = deque(maxlen=KEPT)

    def add(self, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Note what has just happened; `fields` are of JSON's types."""
        self.last += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        data = json.dumps({"at": at, **fields}, separators=(",", ":")).encode()
        self._kept.append(Event(kind, sse(kind, data, self.id_of(self.last))))

    def after(self, number: int, limit: int) -> list[Event] | None:
        """The events behind this one, at most so many; None if they aren't all kept."""
        first = self.last - len(self._kept)
        if number < first:
            return None
        return list(islice(self._kept, number - first, number - first + limit))

    def id_of(self, number: int) -> str:
        """What a listener names an event by."""
        return f"{self._epoch}-{number}"

    def number_of(self, event_id: str) -> int | None:
        """The number of an event from which a listener can go on; None if it can't."""
        epoch, _, text = event_id.partition("-")
        if epoch != self._epoch or not (text.isascii() and text.isdigit() and len(text) < 16):
            return None
        number = int(text)
        return number if self.last - len(self._kept) <= number <= self.last else None


def sse(kind: str, data: bytes, event_id: str = "") -> bytes:
    """One event; its data is JSON, so a single line."""
    id_line = b"id: %b\n" % event_id.encode() if event_id else b""
    return b"%bevent: %b\ndata: %b\n\n" % (id_line, kind.encode(), data)


def of_change(change: Change) -> dict[str, object]:
    """What is told of a change of the routing table: in short, since it may touch very many routes."""
    cause = change.cause
    return {
        "revision": change.revision,
        "action": cause.action,
        "actor": cause.actor,
        "reason": cause.reason,
        "touched": change.size,
        "routes": [
            {"model": edit.model, "before": _endpoints(edit.before), "after": _endpoints(edit.after)}
            for edit in change.routes[:_MOST_EDITS]
        ],
        "drains": [
            {"provider": edit.provider, "drained": edit.after is not None} for edit in change.drains[:_MOST_EDITS]
        ],
    }


def _endpoints(route: DynamicRoute | None) -> list[str] | None:
    return None if route is None else [f"{each.provider}:{each.model_id}" for each in route.endpoints]
