"""One record per request, filled in along its way and written once, whatever became of it."""

import logging
import time
from enum import StrEnum
from itertools import count
from secrets import token_hex

from proxy.routing import RoutingTarget
from proxy.wire import Tokens, UsageWatch

_access_log = logging.getLogger("pointsman.access")

# Ids need to be unique, not secret: what differs between processes is drawn once.
_PROCESS = token_hex(8)
_numbers = count(1)


class Ending(StrEnum):
    """How a request ended."""

    COMPLETE = "complete"
    """The whole answer, a provider's or our own, went to the client."""
    CUT = "cut"
    """The provider broke off, and the client was told."""
    CLIENT_GONE = "client gone"
    """The client went away before the answer was complete."""


class Outcome:
    """What is known of one request, and in the end what became of it.

    Attributes:
        client: the address that asked.
        method: as sent.
        path: as the client sent it, without the query (a credential may be in there).
        started: when the request came, by the monotonic clock, in seconds.
        model: the name that the client asked for.
        target: where it went.
        attempts: how many targets were tried.
        status: of the answer; 0 if none was begun.
        first_byte_s: from the request's arrival to the head of the provider's answer.
        body_bytes: bytes of the answer's body that went to the client.
        usage: what the answer says of its tokens; None if there was none.
        ending: how it ended.
        error: why it failed, if it did, in words without secrets.
    """

    model: str | None = None
    target: RoutingTarget | None = None
    attempts = 0
    status = 0
    first_byte_s: float | None = None
    body_bytes = 0
    usage: UsageWatch | None = None
    ending = Ending.CLIENT_GONE
    error: str | None = None
    _number = 0

    def __init__(self, client: str, method: str, path: str) -> None:
        self.client = client
        self.method = method
        self.path = path
        self.started = time.monotonic()

    @property
    def id(self) -> str:
        """Our name for the request, also the `x-request-id` where the provider gives none."""
        self._number = self._number or next(_numbers)
        return f"req_{_PROCESS}{self._number:08x}"

    def head_arrived(self) -> None:
        """Note the moment at which the head of the provider's answer was there."""
        self.first_byte_s = time.monotonic() - self.started

    def write(self) -> None:
        """Write the access line. Anything that a client chose is quoted, so that it can't forge a line."""
        if not _access_log.isEnabledFor(logging.INFO):
            return
        first_byte = "-" if self.first_byte_s is None else f"{self.first_byte_s * 1000:.0f}ms"
        tokens = Tokens(None, None) if self.usage is None else self.usage.tokens()
        _access_log.info(
            "%s %s %s %d model=%s target=%s attempts=%d first_byte=%s total=%.0fms bytes=%d tokens=%s/%s %s%s id=%s",
            self.client,
            self.method,
            ascii(self.path)[1:-1],
            self.status,
            "-" if self.model is None else ascii(self.model),
            "-" if self.target is None else ascii(f"{self.target.provider_name}:{self.target.model_id}"),
            self.attempts,
            first_byte,
            (time.monotonic() - self.started) * 1000,
            self.body_bytes,
            "-" if tokens.input is None else tokens.input,
            "-" if tokens.output is None else tokens.output,
            self.ending,
            "" if self.error is None else f" error={self.error!a}",
            self.id,
        )
