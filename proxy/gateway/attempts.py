"""Trying a resolution's targets in turn, until one gives an answer that can go to the client.

Nothing of an answer has gone there meanwhile, so a failure costs time alone, and at times money: docs/failures.md tells
what is tried again, and what may have been billed. Every extra attempt comes out of a budget.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import NamedTuple

from proxy.config import Delivery, HedgeAfter
from proxy.errors import Failure, UpstreamError
from proxy.gateway.hedge import HedgeDelays, hedged
from proxy.gateway.hold import Held, must_hold, read_refusal
from proxy.gateway.patience import is_retry_worthwhile, retry_after_s
from proxy.gateway.reply import Reply
from proxy.gateway.targets import Targets, Way, name_of
from proxy.routing import USUAL_OPTIONS, Resolution, RoutingTarget
from proxy.telemetry import Alarms, Outcome
from proxy.upstream import Answer, Health, RequestTemplate, RetryBudget, Upstream
from proxy.wire import Call, Head, Stage, says_prompt_too_long
from proxy.wire import retry_after_s as asked_retry_after_s

Send = Callable[[RequestTemplate, str, float, bool], Awaitable[Answer]]
"""Sends a request by its template, with a model id, until a time, over a fresh connection or not."""

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


class Request(NamedTuple):
    """What there is to be sent.

    Attributes:
        model: the name that the client asked for.
        head: the client's header fields.
        call: what it asks for.
        send: sends it.
        can_hedge: whether it can be sent twice at a time.
        waits_s: how long the client waits for the first byte.
    """

    model: str
    head: Head
    call: Call
    send: Send
    can_hedge: bool
    waits_s: float


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

    def reply(self, request: Request, resolution: Resolution, outcome: Outcome) -> Awaitable[Reply]:
        """The reply to pass on: an answer, or the last provider's own error.

        The caller closes it. Raises `UpstreamError` if the last provider gave no answer, `UnsupportedProtocolError` if
        none can be asked this way.
        """
        return _Chain(self, request, resolution, outcome).run()


class _Chain(Targets):
    """One request's attempts at its targets."""

    __slots__ = ("_all", "_outcome", "_request")

    def __init__(self, common: Attempts, request: Request, resolution: Resolution, outcome: Outcome) -> None:
        super().__init__(common.upstream, common.health, common.budgets, request.call, resolution)
        self._all = common
        self._request = request
        self._outcome = outcome

    async def run(self) -> Reply:
        """Go from target to target."""
        way = self.first()
        if self.is_panic:
            self._outcome.is_panic = True
            self._all.alarms.ring(name_of(way.target), "is tried although it is out of service: so are all others")
        hedge_after = self._options.hedge_after
        while True:
            try:
                if hedge_after is None or not self._request.can_hedge:
                    reply = await self._attempt(way)
                else:
                    delay_s = self._all.delays.delay_s(self._request.model, hedge_after)
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
        is_in_time = time.monotonic() < self._outcome.started + self._request.waits_s
        return self.following(failure, failed) if is_in_time else None

    def _hedge(self, slow: Way) -> Coroutine[None, None, Reply] | None:
        """An attempt at the next target beside a slow one, if one may be made."""
        way = self._following(Failure.TIMEOUT, slow.target)
        return None if way is None else self._attempt(way)

    # One target.

    async def _attempt(self, way: Way) -> Reply:
        """Ask one target.

        Raises `UpstreamError` where it gives no answer, or one that breaks off while it is held back.
        """
        record = self._outcome.begin(way.target)
        until = self._outcome.started + min(way.template.timeouts.total_s, self._request.waits_s)
        try:
            if way.template.limits:
                await way.enter(until)
            try:
                answer = await self._request.send(way.template, way.target.model_id, until, False)  # noqa: FBT003 - see Send
            except UpstreamError as error:
                if not error.is_stale or not self._all.budgets[way.target.provider_name].withdraw():
                    raise
                # The provider had closed the resting connection, by all appearances before it had read this.
                record.fail(error.failure, _reason(error))
                record = self._outcome.begin(way.target)
                await asyncio.sleep(random.random() * _BACKOFF_S)  # noqa: S311 - no secret
                answer = await self._request.send(way.template, way.target.model_id, until, True)  # noqa: FBT003
        except UpstreamError as error:
            record.fail(error.failure, _reason(error))
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
        # Where nobody else could be asked, all goes at once.
        if status != 200 or self.are_left or self._options is not USUAL_OPTIONS:
            try:
                await self._judge(reply, way.target, until)
            except BaseException:
                reply.close()
                raise
        if reply.failure is None:
            reply.accept()
        return reply

    async def _judge(self, reply: Reply, target: RoutingTarget, until: float) -> None:
        """Tell whether an answer is one for the client."""
        answer = reply.answer
        status = answer.message.status
        if (failure := _FAILURES.get(status)) is not None:
            reply.fail(failure, f"answered with {status}", status, asked_retry_after_s(answer.message.head))
            if failure in _OURS:
                said = f"answers with {status}: its key or the model id is wrong here, not the request"
                self._all.alarms.ring(name_of(target), said)
            return
        if status == 400:
            if self.are_left:
                reply.held = await read_refusal(answer)
                if says_prompt_too_long(reply.held.body):
                    reply.fail(Failure.CONTEXT_LENGTH, "has too small a context for the prompt", status)
                    return
        elif status == 200 and (held := self._hold(answer)) is not None:
            await held.collect(answer, until)
            if held.broken is not None:
                error = answer.explain(held.broken)
                error.failure = Failure.INCOMPLETE
                reply.fail(Failure.INCOMPLETE, _reason(error), status)
                raise error
            reply.held = held
            if held.stage is not Stage.CONTENT:
                told = "told an error" if held.stage is Stage.ERROR else "ended its answer"
                reply.fail(Failure.INCOMPLETE, f"{told} before any content", status)
                return
            reply.record.head_arrived(status)
        if self._options.hedge_after is HedgeAfter.P95:
            self._all.delays.note(self._request.model, time.monotonic() - reply.record.started)

    def _hold(self, answer: Answer) -> Held | None:
        """What to hold an answer back with; None if it goes at once, as it does where nobody else could be asked."""
        delivery = self._options.delivery
        return must_hold(answer, delivery) if self.are_left or delivery is Delivery.WHOLE else None

    # When none could serve.

    def _last(self, reply: Reply) -> Reply:
        """The last provider's own error, unless it is about us while the others had better reasons."""
        outcome = self._outcome
        outcome.failure = reply.failure
        if reply.failure in _OURS and len({attempt.failure for attempt in outcome.attempts}) > 1:
            reply.close()
            name = reply.record.target.provider_name
            raise self._exhausted(UpstreamError("", provider=name, failure=reply.record.failure or Failure.BROKEN))
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
            last.message = f"None of {len(attempts)} attempts for `{self._request.model}` succeeded: {ways}."
        last.attempts = len(attempts)
        last.should_retry, last.retry_after_s = self._advice()
        return last

    def _advice(self) -> tuple[bool, int]:
        """Whether the client should try again, and after how many seconds."""
        attempts = self._outcome.attempts
        failures = [attempt.failure for attempt in attempts if attempt.failure is not None]
        wait_s = self._all.health.retry_after_s([attempt.target for attempt in attempts])
        return is_retry_worthwhile(failures, self._request.head), retry_after_s(wait_s)


def _reason(error: UpstreamError) -> str:
    return error.message.removeprefix(f"Provider `{error.provider}` ").removesuffix(".")
