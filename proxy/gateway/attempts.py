"""Trying a resolution's targets in turn, until one gives an answer that can go to the client.

Nothing of an answer has gone there meanwhile, so a failure costs time alone, and at times money: docs/failures.md tells
what is tried again, and what may have been billed. Every extra attempt comes out of a budget.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Coroutine
from functools import partial
from math import inf

from proxy.config import Delivery, HedgeAfter
from proxy.errors import Failure, UpstreamError
from proxy.gateway.hedge import HedgeDelays, hedged
from proxy.gateway.hold import Held, must_hold, read_refusal
from proxy.gateway.patience import is_retry_worthwhile, retry_after_s
from proxy.gateway.reply import Reply
from proxy.gateway.targets import Targets, Way, name_of
from proxy.routing import USUAL_OPTIONS, Resolution, RoutingTarget
from proxy.telemetry import Alarms, Attempt, Outcome, RequestSpan
from proxy.upstream import Answer, Health, RetryBudget, Upstream
from proxy.wire import Call, Head, Stage, asked_pause_s, says_prompt_too_long

_FAILURES = {
    401: Failure.UNAUTHORIZED,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    408: Failure.UNAVAILABLE,
    429: Failure.RATE_LIMITED,
    500: Failure.UNAVAILABLE,
    502: Failure.UNAVAILABLE,
    503: Failure.UNAVAILABLE,
    504: Failure.UNAVAILABLE,
    529: Failure.UNAVAILABLE,
}
# Our key or our model id is wrong there, whoever asks.
_OURS = frozenset({Failure.UNAUTHORIZED, Failure.FORBIDDEN, Failure.NOT_FOUND})
# So that the requests that found a restarted provider's connections closed don't all come back in the same moment.
_BACKOFF_S = 0.025


class Attempts:
    """What the attempts of all requests have in common.

    Args:
        upstream: the connections to the providers.
        health: how the endpoints are.
    """

    def __init__(self, upstream: Upstream, health: Health) -> None:
        self.upstream = upstream
        self.health = health
        # By provider: a route can only name one that is configured.
        self.budgets: defaultdict[str, RetryBudget] = defaultdict(RetryBudget)
        self.delays = HedgeDelays()
        self.alarms = Alarms()


class Chain(Targets):
    """One request's attempts at its targets.

    Args:
        common: what the attempts of all requests have in common.
        call: what is asked for.
        head: the client's header fields.
        resolution: whom to ask.
        outcome: the request's record.

    Attributes:
        can_hedge: whether the request can be sent twice at a time.
        waits_s: how long the client waits for the first byte.
    """

    __slots__ = ("_all", "_outcome", "can_hedge", "head", "waits_s")

    def __init__(self, common: Attempts, call: Call, head: Head, resolution: Resolution, outcome: Outcome) -> None:
        super().__init__(common.upstream, common.health, common.budgets, call, resolution)
        self.head = head
        self._all = common
        self._outcome = outcome
        self.can_hedge = False
        self.waits_s = inf

    def send(self, upstream: Upstream, way: Way, head: Head, until: float, *, fresh: bool) -> Awaitable[Answer]:
        """Send the request to one target.

        Args:
            upstream: the connections to the providers.
            way: whom to ask, and how.
            head: the header fields to pass on, of those that the client sent.
            until: when the head of the answer must be here, by the event loop's clock.
            fresh: whether to do it on a new connection.
        """
        raise NotImplementedError

    async def reply(self) -> Reply:
        """The reply to pass on: an answer, or the last provider's own error; the caller closes it.

        Raises `UpstreamError` if the last provider gave no answer, `UnsupportedProtocolError` if none can be asked this
        way.
        """
        way = self.first()
        if self.is_panic:
            self._outcome.is_panic = True
            self._all.alarms.ring(name_of(way.target), "is tried although it is out of service: so are all others")
        hedge_after = self._options.hedge_after
        while True:
            try:
                if hedge_after is None or not self.can_hedge:
                    reply = await self._attempt(way)
                else:
                    delay_s = self._all.delays.delay_s(self._outcome.model or "", hedge_after)
                    reply = await hedged(self._attempt(way), delay_s, partial(self._hedge, way))
            except UpstreamError as error:
                following = self._following(error.failure, way.target)
                if following is None:
                    raise self._exhausted(error) from error
            else:
                if reply.failure is None:
                    return reply
                following = self._following(reply.failure, way.target)
                if following is None:
                    return self._last(reply)
                reply.close()
            way = following

    def _following(self, failure: Failure, failed: RoutingTarget) -> Way | None:
        is_in_time = time.monotonic() < self._outcome.started + self.waits_s
        return self.following(failure, failed) if is_in_time else None

    def _hedge(self, slow: Way) -> Coroutine[None, None, Reply] | None:
        """An attempt at the next target beside a slow one, if one may be made."""
        way = self.next_way(slow.target)
        return None if way is None else self._attempt(way)

    # One target.

    async def _attempt(self, way: Way) -> Reply:
        """Ask one target.

        Raises `UpstreamError` where it gives no answer, or one that breaks off while it is held back.
        """
        record = self._outcome.begin(way.target)
        head = self.head if self._outcome.span is None else self._traced(record, way, self._outcome.span)
        until = self._outcome.started + min(way.template.timeouts.total_s, self.waits_s)
        try:
            if way.template.limits:
                await way.enter(until)
            try:
                answer = await self.send(self._upstream, way, head, until, fresh=False)
            except UpstreamError as error:
                if not error.is_stale or not self._all.budgets[way.target.provider_name].withdraw():
                    raise
                # The provider had closed the resting connection, by all appearances before it had read this.
                record.fail(error.failure, error.reason)
                record = self._outcome.begin(way.target)
                head = self.head if self._outcome.span is None else self._traced(record, way, self._outcome.span)
                await asyncio.sleep(random.random() * _BACKOFF_S)  # noqa: S311 - no secret
                answer = await self.send(self._upstream, way, head, until, fresh=True)
        except UpstreamError as error:
            record.fail(error.failure, error.reason)
            way.endpoint.fail(way.ticket, error.failure)
            way.leave()
            raise
        except BaseException:
            way.endpoint.abandon(way.ticket)
            way.leave()
            raise
        reply = Reply(answer, record, way)
        status = answer.message.status
        record.head_arrived(status)
        # A lone endpoint's answer goes at once: nobody else could be asked.
        if status != 200 or self._resolution.fallbacks or self._options is not USUAL_OPTIONS:
            try:
                await self._judge(reply, way.target, until)
            except BaseException:
                reply.close()
                raise
        if reply.failure is None:
            reply.accept()
        return reply

    def _traced(self, record: Attempt, way: Way, span: RequestSpan) -> Head:
        """The client's head as the target of an attempt is told it: with our span of that instead of the client's."""
        record.span = span.attempt(way.template.origin.address)
        return record.span.head(self.head)

    async def _judge(self, reply: Reply, target: RoutingTarget, until: float) -> None:
        """Tell whether an answer is one for the client."""
        answer = reply.answer
        status = answer.message.status
        if (failure := _FAILURES.get(status)) is not None:
            reply.fail(failure, f"answered with {status}", status, asked_pause_s(answer.message.head))
            if failure in _OURS:
                said = f"answers with {status}: its key or the model id is wrong here, not the request"
                self._all.alarms.ring(name_of(target), said)
            return
        if status == 400:
            if self.are_left:
                reply.held = await read_refusal(answer, until)
                if says_prompt_too_long(reply.held.body):
                    reply.fail(Failure.CONTEXT_LENGTH, "has too small a context for the prompt", status)
                    return
        elif status == 200 and (held := self._hold(answer)) is not None:
            await held.collect(answer, until)
            if held.broken is not None or held.stage is Stage.PREAMBLE:
                error = self._incomplete(answer, held, target)
                reply.fail(Failure.INCOMPLETE, error.reason, status)
                raise error
            reply.held = held
            if held.stage is Stage.ERROR:
                reply.fail(Failure.INCOMPLETE, "told an error instead of its answer", status)
                return
            reply.record.head_arrived(status)
        if self._options.hedge_after is HedgeAfter.P95:
            self._all.delays.note(self._outcome.model or "", time.monotonic() - reply.record.started)

    def _incomplete(self, answer: Answer, held: Held, target: RoutingTarget) -> UpstreamError:
        if held.broken is None:
            error = UpstreamError("ended its answer before any content", provider=target.provider_name)
        else:
            error = answer.explain(held.broken)
        error.failure = Failure.INCOMPLETE
        return error

    def _hold(self, answer: Answer) -> Held | None:
        """What to hold an answer back with; None if it goes at once."""
        return (
            must_hold(answer, self._options.delivery)
            if self._resolution.fallbacks or self._options.delivery is Delivery.WHOLE
            else None
        )

    # When none could serve.

    def _last(self, reply: Reply) -> Reply:
        """The last provider's own error, unless it is about us while the others had better reasons."""
        outcome = self._outcome
        outcome.failure = reply.failure
        if (
            reply.failure is not None
            and reply.failure in _OURS
            and len({attempt.failure for attempt in outcome.attempts}) > 1
        ):
            reply.close()
            name = reply.record.target.provider_name
            raise self._exhausted(UpstreamError(f"{reply.record.reason}", provider=name, failure=reply.failure))
        if self._resolution.fallbacks:
            reply.advice = self._advice()
        return reply

    def _exhausted(self, last: UpstreamError) -> UpstreamError:
        """The last error, telling of all attempts."""
        attempts = self._outcome.attempts
        self._outcome.failure = last.failure
        if len(attempts) > 1:
            ways = "; ".join(
                f"{each.target.provider_name} {each.reason} ({each.duration_s or 0:.2f} s)" for each in attempts
            )
            last.message = f"None of {len(attempts)} attempts for `{self._outcome.model}` succeeded: {ways}."
        last.attempts = len(attempts)
        last.should_retry, last.retry_after_s = self._advice()
        return last

    def _advice(self) -> tuple[bool, int]:
        """Whether the client should try again, and after how many seconds."""
        attempts = self._outcome.attempts
        failures = [attempt.failure for attempt in attempts if attempt.failure is not None]
        wait_s = self._all.health.retry_after_s([attempt.target for attempt in attempts])
        return is_retry_worthwhile(failures, self.head), retry_after_s(wait_s)
