"""One record per request, filled in along its way and kept to the facts; what is made of it is decided elsewhere."""

import time
from enum import StrEnum
from itertools import count
from secrets import token_hex
from typing import Final, Protocol

from proxy.errors import Failure, ProxyError, WithdrawnError
from proxy.routing import Resolution, RouteSource, RoutingTarget
from proxy.telemetry.trace import AttemptSpan, RequestSpan
from proxy.wire import UNCOUNTED, UsageWatch

# Ids need to be unique, not secret: what differs between processes is drawn once.
_PROCESS: Final = token_hex(8)
_numbers: Final = count(1)
_now: Final = time.monotonic

STALL_S = 1.0
"""How long a stream pauses at least for it to count as a stall."""


class Ending(StrEnum):
    """How a request ended."""

    COMPLETE = "complete"
    """The whole answer, a provider's or our own, went to the client."""
    CUT = "cut"
    """The provider broke off, and the client was told."""
    CLIENT_GONE = "client gone"
    """The client went away before the answer was complete."""
    WITHDRAWN = "withdrawn"
    """The operator ended it, and the client was told."""


class Stream(Protocol):
    """An answer that has begun and is still coming."""

    def cut(self, error: WithdrawnError) -> None:
        """End it with an error that the client reads."""
        ...


# A member of an enum is looked up in a tenth of the time under a name of its own.
_CLIENT_GONE: Final = Ending.CLIENT_GONE
_CUT: Final = Ending.CUT


class Attempt:
    """One try at one target.

    Attributes:
        target: who was asked.
        started: when, by the monotonic clock, in seconds.
        first_byte_s: from then to the head of the provider's answer; None if none came.
        status: of that answer; 0 if none came.
        failure: why it failed; None if it didn't, or was given up while it was under way.
        reason: the same in words without secrets.
        duration_s: from its start to its end; None while it is under way.
        span: its span, if requests are traced.
    """

    def __init__(self, target: RoutingTarget) -> None:
        self.target = target
        self.started = _now()
        self.first_byte_s: float | None = None
        self.status = 0
        self.failure: Failure | None = None
        self.reason: str | None = None
        self.duration_s: float | None = None
        self.span: AttemptSpan | None = None

    def head_arrived(self, status: int) -> None:
        """Note the moment at which the head of the provider's answer was there."""
        self.first_byte_s = _now() - self.started
        self.status = status

    def fail(self, failure: Failure, reason: str, status: int = 0) -> None:
        """Note why it failed, which ends it. `reason` must hold no secret; `status` is the answer's, if one came."""
        self.failure = failure
        self.reason = reason
        self.status = status or self.status
        self.end()

    def end(self) -> None:
        """Note that it is over, unless it was before."""
        if self.duration_s is None:
            self.duration_s = _now() - self.started


class Outcome:
    """What is known of one request, and in the end what became of it.

    Attributes:
        client: the address that asked.
        method: as sent.
        path: as the client sent it, without the query (a credential may be in there).
        started: when the request came, by the monotonic clock, in seconds.
        duration_s: from then to its end; 0 while it is under way.
        model: the name that the client asked for.
        resolution: where its route leads; None as long as it has none.
        attempts: each try at a target, in order.
        served_by: the attempt whose answer the client gets.
        is_panic: whether every endpoint was known to be down, and one was tried all the same.
        status: of the answer; 0 if none was begun.
        body_bytes: bytes of the answer's body that went to the client.
        usage: watches what the answer says of its tokens while it goes by; None if there is none.
        tokens: what it said, once it is over.
        stalls: how often more than `STALL_S` went by between two pieces of the answer, whoever was the cause.
        ending: how it ended.
        failure: why the request failed, where its providers were the cause.
        error: why it failed, if it did, in words without secrets.
        code: the same as a client reads it in our error, if it got one.
        span: its span, if requests are traced.
        stream: what passes the answer on, while it does.
    """

    def __init__(self, client: str, method: str, path: str) -> None:
        self.client = client
        self.method = method
        self.path = path
        self.started = _now()
        self.duration_s = 0.0
        self.model: str | None = None
        self.resolution: Resolution | None = None
        self.attempts: list[Attempt] = []
        self.served_by: Attempt | None = None
        self.is_panic = False
        self.status = 0
        self.body_bytes = 0
        self.usage: UsageWatch | None = None
        self.stalls = 0
        self.ending = _CLIENT_GONE
        self.failure: Failure | None = None
        self.error: str | None = None
        self.code: str | None = None
        self.span: RequestSpan | None = None
        self.stream: Stream | None = None
        self.tokens = UNCOUNTED
        self._number = 0

    def fail(self, error: ProxyError) -> None:
        """Note that the client got an error of ours instead of an answer."""
        self.status = error.status
        self.error = error.message
        self.code = error.code or error.type

    def end(self) -> None:
        """Note that it is over, and so is each of its attempts."""
        if self.usage is not None:
            self.tokens = self.usage.tokens()
            # Records are kept for a while; what the answer said is not.
            self.usage = None
        now = _now()
        self.duration_s = now - self.started
        for attempt in self.attempts:
            if attempt.duration_s is None:
                attempt.duration_s = now - attempt.started

    @property
    def ended(self) -> float:
        """When it was over, by the clock of `started`."""
        return self.started + self.duration_s

    @property
    def source(self) -> RouteSource | None:
        """Where its route came from; None as long as it has none."""
        return None if self.resolution is None else self.resolution.source

    @property
    def revision(self) -> int:
        """The version of the table that decided; 0 as long as there is no route."""
        return 0 if self.resolution is None else self.resolution.revision

    @property
    def has_failed(self) -> bool:
        """Whether the client got an error of ours, or less than a whole answer through a provider's fault."""
        return self.code is not None or self.failure is not None or self.ending is _CUT

    @property
    def cause(self) -> str:
        """Why it failed, in one of few words; only if it did."""
        return self.failure or self.code or Failure.CUT

    @property
    def id(self) -> str:
        """Our name for the request, also the `x-request-id` where the provider gives none."""
        self._number = self._number or next(_numbers)
        return f"req_{_PROCESS}{self._number:08x}"

    @property
    def target(self) -> RoutingTarget | None:
        """Whose answer the client gets; without one, who was asked last."""
        if self.served_by is not None:
            return self.served_by.target
        return self.attempts[-1].target if self.attempts else None

    @property
    def first_byte_s(self) -> float | None:
        """Seconds from the request's arrival to the head of the answer that the client gets."""
        served_by = self.served_by
        if served_by is None or served_by.first_byte_s is None:
            return None
        return served_by.started + served_by.first_byte_s - self.started
