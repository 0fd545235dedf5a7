"""What an API module gives back: an answer as a whole, or events to stream. How it is sent is the provider's job."""

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

Json = dict[str, Any]


class Whole(msgspec.Struct):
    """An answer in one piece."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = {}


class Stream(msgspec.Struct):
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


def event(data: object, name: str | None = None) -> bytes:
    """One server-sent event."""
    head = b"" if name is None else b"event: %s\n" % name.encode()
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"


def new_id(prefix: str) -> str:
    """An id in the style of the providers."""
    return f"{prefix}{secrets.token_hex(12)}"


def model_of(body: Json) -> str:
    """The model that a body asks for."""
    if not isinstance(model := body.get("model"), str):
        raise RefusedError(400, "you must provide a model parameter")
    return model
