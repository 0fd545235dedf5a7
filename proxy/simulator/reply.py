"""What an API module reads and gives back: an answer whole, or events to stream. Sending it is `delivery`'s job."""

import secrets
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

Json = dict[str, Any]
"""An answer on its way to being JSON."""

T = TypeVar("T")


class Whole(msgspec.Struct, frozen=True):
    """An answer in one piece."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = {}


class Stream(msgspec.Struct, frozen=True):
    """An answer piece by piece."""

    events: list[bytes]
    headers: Mapping[str, str] = {}
    content_type: str = "text/event-stream"


class RefusedError(Exception):
    """A request that the API refuses; `status` and the message say why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def read(body: bytes, kind: type[T]) -> T:
    """The JSON in a body, as far as `kind` names its fields; raises `RefusedError` where it is not so."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise RefusedError(400, f"Invalid request: {error}") from error
    # What is no JSON at all: bad syntax, bad UTF-8, or nested without end.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, f"We could not parse the JSON body of your request: {error}") from error


def event(data: object, name: str | None = None) -> bytes:
    """One server-sent event."""
    head = b"" if name is None else b"event: %s\n" % name.encode()
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"


def new_id(prefix: str) -> str:
    """An id in the style of the providers."""
    return f"{prefix}{secrets.token_hex(12)}"
