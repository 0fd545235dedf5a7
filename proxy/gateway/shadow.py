"""Shadows: a share of a route's requests goes to a candidate endpoint as well, and its answers are thrown away.

The client never feels it. A request is mirrored once the route's own answer has begun or failed, in a task of its own;
where too many are under way, it isn't. The candidate has a breaker to itself, so that what becomes of mirrored requests
tells neither routing nor probes anything, and no budget and no metric of requests learns of them.
"""

import asyncio
import logging
import random
import time
from types import TracebackType
from typing import NamedTuple, Self

from proxy.config import Delivery, Shadow
from proxy.errors import Failure, ProxyError, UpstreamError
from proxy.gateway.body import BufferedBody, ModelRequest
from proxy.routing import Resolution, RoutingTarget
from proxy.telemetry import Outcome, ShadowFigures, ShadowRecord
from proxy.upstream import Answer, EndpointHealth, HealthChange, RequestTemplate, Ticket, Upstream
from proxy.wire import FAILURE_OF_STATUS, Call, Head, Preamble, Stage, asked_pause_s, has_plain_events

MOST_UNDER_WAY = 32
"""Mirrored requests at a time, of all routes."""
LIMIT_S = 120.0
"""How long one of them takes at most."""

# Of routes that have a shadow or had one.
_MOST_CANDIDATES = 1000

_log = logging.getLogger("pointsman.shadow")


class Shadows:
    """Mirrors requests; an async context manager that owns the tasks in which it does.

    Args:
        upstream: the way to the providers; to be closed after this.
        limit_s: how long one mirrored request takes at most.
    """

    def __init__(self, upstream: Upstream, limit_s: float = LIMIT_S) -> None:
        self._upstream = upstream
        # By model, the one that began last at the end.
        self._candidates: dict[str, _Candidate] = {}
        self._limit_s = limit_s
        self._under_way: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def figures(self, model: str) -> ShadowFigures | None:
        """What a model's route and its candidate have come to, side by side; None if nothing has been mirrored."""
        candidate = self._candidates.get(model)
        return None if candidate is None else candidate.record.figures(candidate.endpoint.state)

    def mirror(
        self, shadow: Shadow, call: Call, head: Head, body: ModelRequest, resolution: Resolution, outcome: Outcome
    ) -> None:
        """Send a request to the candidate as well, if it is one of the share; never waits and never raises.

        Args:
            shadow: the candidate.
            call: what is asked for.
            head: the client's header fields.
            body: the request's body; one that can be read only once isn't mirrored.
            resolution: where the route leads.
            outcome: the request's record; what its first attempt comes to is compared.
        """
        model = outcome.model or ""
        candidate = self._candidates.get(model)
        if candidate is None or candidate.record.shadow != shadow:
            candidate = self._begin(model, shadow)
        record = candidate.record
        # An attempt without an answer or a failure was given up: the client has left.
        first = outcome.attempts[0] if outcome.attempts else None
        if first is None or (first.first_byte_s is None and first.failure is None):
            return
        if not isinstance(body, BufferedBody) or not record.is_turn():
            return
        if len(self._under_way) >= MOST_UNDER_WAY:
            record.dropped += 1
            return
        try:
            template = self._upstream.template(RoutingTarget(shadow.provider, shadow.model_id), call)
        except ProxyError:
            record.left_alone += 1
            return
        if not (ticket := candidate.endpoint.admit()):
            record.left_alone += 1
            return
        # Clients have the places first: a mirrored request takes one that is free, or none.
        places = [limit for limit in template.limits if limit.try_enter()]
        if len(places) < len(template.limits):
            for limit in places:
                limit.leave()
            candidate.endpoint.abandon(ticket)
            record.dropped += 1
            return
        mirrored = _Mirrored(template, ticket, head, body, resolution)
        task = asyncio.create_task(self._compare(mirrored, candidate, outcome))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _begin(self, model: str, shadow: Shadow) -> "_Candidate":
        """A candidate that is asked for the first time, in the place of the model's former one."""
        self._candidates.pop(model, None)
        while len(self._candidates) >= _MOST_CANDIDATES:
            del self._candidates[next(iter(self._candidates))]
        endpoint = EndpointHealth(shadow.provider, shadow.model_id, _tell, time.monotonic, random.random)
        candidate = self._candidates[model] = _Candidate(ShadowRecord(shadow), endpoint)
        return candidate

    async def _compare(self, mirrored: "_Mirrored", candidate: "_Candidate", outcome: Outcome) -> None:
        """Send a mirrored request, and note what became of both."""
        record = candidate.record
        record.mirrored += 1
        record.under_way += 1
        try:
            first_byte_s, cause = await self._send(mirrored, candidate)
            record.note_candidate(first_byte_s, cause)
            record.note_primary(outcome.attempts[0])
        finally:
            record.under_way -= 1
            for limit in mirrored.template.limits:
                limit.leave()

    async def _send(self, mirrored: "_Mirrored", candidate: "_Candidate") -> tuple[float | None, str | None]:
        """Seconds to the first byte, and why it failed, if it did."""
        endpoint, ticket = candidate.endpoint, mirrored.ticket
        try:
            async with asyncio.timeout(self._limit_s):
                first_byte_s, status, pause_s, is_broken = await self._ask(mirrored, endpoint.model_id)
        except TimeoutError:
            endpoint.fail(ticket, Failure.TIMEOUT)
            return None, Failure.TIMEOUT
        except UpstreamError as error:
            endpoint.fail(ticket, error.failure)
            return None, error.failure
        except BaseException:
            endpoint.abandon(ticket)
            raise
        if (failure := FAILURE_OF_STATUS.get(status)) is not None or is_broken:
            endpoint.fail(ticket, failure or Failure.INCOMPLETE, pause_s)
            return first_byte_s, f"status {status}" if failure is not None else Failure.INCOMPLETE
        endpoint.answered(ticket, first_byte_s)
        endpoint.succeed(ticket)
        return first_byte_s, f"status {status}" if status >= 400 else None

    async def _ask(self, mirrored: "_Mirrored", model_id: str) -> "_Answered":
        began = time.monotonic()
        payload = mirrored.body.payload(model_id)
        head = mirrored.template.head(mirrored.head, payload.length)
        answer = await self._upstream.send(mirrored.template, head, payload)
        try:
            head_s = time.monotonic() - began
            status = answer.message.status
            read = await _read(answer)
            first_byte_s = mirrored.first_byte_s(head_s, read, began)
            pause_s = asked_pause_s(answer.message.head) if status >= 400 else None
            return _Answered(first_byte_s, status, pause_s, read.is_broken)
        finally:
            answer.close()


class _Candidate(NamedTuple):
    """The candidate of one route: what it has come to, and a breaker to itself."""

    record: ShadowRecord
    endpoint: EndpointHealth


class _Answered(NamedTuple):
    """What a mirrored request came to."""

    first_byte_s: float
    status: int
    pause_s: float | None
    is_broken: bool


class _Mirrored(NamedTuple):
    """A request to be sent to a candidate."""

    template: RequestTemplate
    ticket: Ticket
    head: Head
    body: BufferedBody
    resolution: Resolution

    def first_byte_s(self, head_s: float, read: "_ThrownAway", began: float) -> float:
        """When the candidate's first byte would have gone to the client, who may wait for more than the head."""
        if self.resolution.options.delivery is Delivery.WHOLE:
            return read.over_at - began
        if self.resolution.fallbacks and read.content_at is not None:
            return read.content_at - began
        return head_s


async def _read(answer: Answer) -> "_ThrownAway":
    sink = _ThrownAway(is_stream=has_plain_events(answer.message.head) and answer.message.status == 200)
    answer.pour(sink, answer.timeouts.idle_s)
    await sink.over
    return sink


class _ThrownAway:
    """A sink that keeps nothing of an answer but when it came.

    Attributes:
        content_at: when a stream's first content was there.
        over_at: when the end was there.
        is_broken: whether it broke off, or told an error instead of content.
    """

    def __init__(self, *, is_stream: bool) -> None:
        self._preamble = Preamble() if is_stream else None
        self.content_at: float | None = None
        self.over_at = 0.0
        self.is_broken = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> None:
        """Take the next piece."""
        if self._preamble is not None and self.content_at is None:
            stage = self._preamble.feed(data)
            if stage is not Stage.PREAMBLE:
                self.content_at = time.monotonic()
                self.is_broken = stage is Stage.ERROR

    def close(self, error: BaseException | None) -> None:
        """Note the end."""
        self.over_at = time.monotonic()
        if error is not None or (self._preamble is not None and self.content_at is None):
            self.is_broken = True
        if not self.over.done():
            self.over.set_result(None)


def _tell(_: EndpointHealth, change: HealthChange) -> None:
    name = repr(f"{change.provider}:{change.model_id:.200}")
    _log.info("The breaker of the candidate %s is %s now: %s", name, change.after, change.reason)
