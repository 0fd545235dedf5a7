"""One record per request, filled in along its way and written once, whatever became of it."""

import logging
import time
from dataclasses import dataclass, field
from enum import StrEnum
from secrets import token_hex

_access_log = logging.getLogger("pointsman.access")


class Ending(StrEnum):
    """How a request ended."""

    COMPLETE = "complete"
    """The whole answer, a provider's or our own, went to the client."""
    CUT = "cut"
    """The provider broke off, and the client was told."""
    CLIENT_GONE = "client gone"
    """The client went away before the answer was complete."""


@dataclass(slots=True)
class Outcome:
    """What is known of one request, and in the end what became of it.

    Attributes:
        id: our name for the request, also the `x-request-id` where the provider gives none.
        path: as the client sent it, without the query (a credential may be in there).
        model: the name that the client asked for.
        target: where it went, as `provider:model_id`.
        status: of the answer; 0 if none was begun.
        first_byte_s: from the request's arrival to the head of the provider's answer.
        body_bytes: bytes of the answer's body that went to the client.
        error: why it failed, if it did, in words without secrets.
    """

    client: str
    method: str
    path: str
    id: str = field(default_factory=lambda: f"req_{token_hex(12)}")
    started: float = field(default_factory=time.monotonic)
    model: str | None = None
    target: str | None = None
    attempts: int = 0
    status: int = 0
    first_byte_s: float | None = None
    body_bytes: int = 0
    ending: Ending = Ending.CLIENT_GONE
    error: str | None = None

    def head_arrived(self) -> None:
        """Note the moment at which the head of the provider's answer was there."""
        self.first_byte_s = time.monotonic() - self.started

    def write(self) -> None:
        """Write the access line. Anything that a client chose is quoted, so that it can't forge a line."""
        if not _access_log.isEnabledFor(logging.INFO):
            return
        first_byte = "-" if self.first_byte_s is None else f"{self.first_byte_s * 1000:.0f}ms"
        _access_log.info(
            "%s %s %s %d model=%s target=%s attempts=%d first_byte=%s total=%.0fms bytes=%d %s%s id=%s",
            self.client,
            self.method,
            ascii(self.path)[1:-1],
            self.status,
            "-" if self.model is None else ascii(self.model),
            "-" if self.target is None else ascii(self.target),
            self.attempts,
            first_byte,
            (time.monotonic() - self.started) * 1000,
            self.body_bytes,
            self.ending,
            "" if self.error is None else f" error={self.error!a}",
            self.id,
        )
