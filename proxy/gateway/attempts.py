"""Trying a resolution's targets in turn, until one gives an answer that can go to the client.

Nothing of an answer has gone there meanwhile, so a failure costs time alone, and at times money: docs/failures.md tells
what is tried again, and what may have been billed. Every extra attempt comes out of a budget.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Final

from proxy.config import Delivery, HedgeAfter
from proxy.errors import Failure, UpstreamError
from proxy.gateway.exchange import Exchange
from proxy.gateway.hedge import hedged
from proxy.gateway.hold import Held, must_hold, read_refusal
from proxy.gateway.patience import is_retry_worthwhile, retry_after_s
from proxy.gateway.targets import Attempts, Targets, name_of
from proxy.routing import USUAL_OPTIONS, Resolution, RoutingTarget
from proxy.telemetry import Attempt, Outcome
from proxy.upstream import Answer
from proxy.wire import FAILURE_OF_STATUS, Call, Head, Stage, asked_pause_s, says_prompt_too_long

# Our key or our model id is wrong there, whoever asks.
_OURS: Final = frozenset({Failure.UNAUTHORIZED, Failure.FORBIDDEN, Failure.NOT_FOUND})
# So that the requests that found a restarted provider's connections closed don't all come back in the same moment.
_BACKOFF_S: Final = 0.025


class Chain(Targets):
    """One request's attempts at its targets.

    Args:
        common, call, resolution: see `Targets`.
        head: the client's header fields.
        outcome: the request's record.
        waits_s: how long the client waits for the first byte.
        can_hedge: whether the request can be sent twice at a time.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - all of it is told apart by its type
        self,
        common: Attempts,
        call: Call,
        resolution: Resolution,
        head: Head,
        outcome: Outcome,
        waits_s: float,
        can_hedge: bool,  # noqa: FBT001 - likewise
    ) -> None:
        super().__init__(common, call, resolution)
        self.head = head
        self._outcome = outcome
        self.waits_s = waits_s
        self.can_hedge = can_hedge

    def send(self, exchange: Exchange, head: Head, until: float, *, fresh: bool) -> Awaitable[Answer]:
        """Send the request to one target.

        Args:
            exchange: whom to ask, and how.
            head: the header fields to pass on, of those that the client sent.
            until: when the head of the answer must be here, by the event loop's clock.
            fresh: whether to do it on a new connection.
        """
        raise NotImplementedError

    async def reply(self) -> Exchange:
        """The exchange whose answer to pass on, the last provider's own error among them; the caller closes it.

        Raises `UpstreamError` if the last provider gave no answer, `UnsupportedProtocolError` if none can be asked this
        way.
        """
        exchange = self.first()
        if exchange.is_forced:
            self._outcome.is_panic = True
            said = "is tried although it is out of service: so are all others"
            self._common.alarms.ring(name_of(exchange.target), said)
        hedge_after = self._resolution.options.hedge_after
        while True:
            try:
                if hedge_after is None or not self.can_hedge:
                    await self._attempt(exchange)
                else:
                    delay_s = self._common.delays.delay_s(self._outcome.model or "", hedge_after)
                    exchange = await hedged(self._attempt(exchange), delay_s, partial(self._hedge, exchange))
            except UpstreamError as error:
                following = self._following(error.failure, exchange.target)
                if following is None:
                    raise self._exhausted(error) from error
            else:
                if exchange.failure is None:
                    return exchange
                following = self._following(exchange.failure, exchange.target)
                if following is None:
                    return self._last(exchange)
                exchange.close()
            exchange = following

    def _following(self, failure: Failure, failed: RoutingTarget) -> Exchange | None:
        is_in_time = time.monotonic() < self._outcome.started + self.waits_s
        return self.following(failure, failed) if is_in_time else None

    def _hedge(self, slow: Exchange) -> Coroutine[None, None, Exchange] | None:
        """An attempt at the next target beside a slow one, if one may be made."""
        exchange = self.next_one(slow.target)
        return None if exchange is None else self._attempt(exchange)

    # One target.

    async def _attempt(self, exchange: Exchange) -> Exchange:
        """Ask one target; gives the same exchange, with its answer.

        Raises `UpstreamError` where it gives no answer, or one that breaks off while it is held back.
        """
        outcome, template = self._outcome, exchange.template
        head = self._begin(exchange)
        total_s = template.timeouts.total_s
        until = outcome.started + (total_s if total_s < self.waits_s else self.waits_s)  # noqa: FURB136 - so in `Deadline`
        try:
            if template.limits:
                await exchange.enter(until)
            answer: Answer | None = None
            try:
                answer = await self.send(exchange, head, until, fresh=False)
            except UpstreamError as error:
                if not error.is_stale or not self._common.budgets[exchange.target.provider_name].withdraw():
                    raise
                # The provider had closed the resting connection, by all appearances before it had read this.
                exchange.record.fail(error.failure, error.reason)
            if answer is None:
                head = self._begin(exchange)
                await asyncio.sleep(random.random() * _BACKOFF_S)  # noqa: S311 - no secret
                answer = await self.send(exchange, head, until, fresh=True)
        except UpstreamError as error:
            exchange.give_up(error.failure, error.reason)
            raise
        except BaseException:
            exchange.give_up(None)
            raise
        exchange.answer = answer
        status = answer.message.status
        exchange.record.head_arrived(status)
        # A lone endpoint's answer goes at once: nobody else could be asked.
        resolution = self._resolution
        if status != 200 or resolution.fallbacks or resolution.options is not USUAL_OPTIONS:
            try:
                await self._judge(exchange, until)
            except BaseException:
                exchange.close()
                raise
        if exchange.failure is None:
            exchange.endpoint.answered(exchange.ticket, exchange.record.first_byte_s or 0.0)
        return exchange

    def _begin(self, exchange: Exchange) -> Head:
        """Begin an attempt's record; gives the head to pass on: the client's, with our span in place of its own."""
        outcome = self._outcome
        exchange.record = record = Attempt(exchange.target)
        outcome.attempts.append(record)
        if (span := outcome.span) is None:
            return self.head
        record.span = span.attempt(exchange.template.origin.address)
        return record.span.head(self.head)

    async def _judge(self, exchange: Exchange, until: float) -> None:
        """Tell whether an answer is one for the client."""
        answer = exchange.answer
        status = answer.message.status
        if (failure := FAILURE_OF_STATUS.get(status)) is not None:
            exchange.fail(failure, f"answered with {status}", status, asked_pause_s(answer.message.head))
            if failure in _OURS:
                said = f"answers with {status}: its key or the model id is wrong here, not the request"
                self._common.alarms.ring(name_of(exchange.target), said)
            return
        if status == 400:
            if self.are_left:
                exchange.held = await read_refusal(answer, until)
                if says_prompt_too_long(exchange.held.body):
                    exchange.fail(Failure.CONTEXT_LENGTH, "has too small a context for the prompt", status)
                    return
        elif status == 200 and (held := self._hold(answer)) is not None:
            await held.collect(answer, until)
            if held.broken is not None or held.stage is Stage.PREAMBLE:
                error = self._incomplete(answer, held, exchange.target)
                exchange.fail(Failure.INCOMPLETE, error.reason, status)
                raise error
            exchange.held = held
            if held.stage is Stage.ERROR:
                exchange.fail(Failure.INCOMPLETE, "told an error instead of its answer", status)
                return
            exchange.record.head_arrived(status)
        if self._resolution.options.hedge_after is HedgeAfter.P95:
            self._common.delays.note(self._outcome.model or "", time.monotonic() - exchange.record.started)

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
            must_hold(answer, self._resolution.options.delivery)
            if self._resolution.fallbacks or self._resolution.options.delivery is Delivery.WHOLE
            else None
        )

    # When none could serve.

    def _last(self, last: Exchange) -> Exchange:
        """The last provider's own error, unless it is about us while the others had better reasons."""
        outcome = self._outcome
        outcome.failure = last.failure
        if (
            last.failure is not None
            and last.failure in _OURS
            and len({attempt.failure for attempt in outcome.attempts}) > 1
        ):
            last.close()
            name = last.target.provider_name
            raise self._exhausted(UpstreamError(f"{last.record.reason}", provider=name, failure=last.failure))
        if self._resolution.fallbacks:
            last.advice = self._advice()
        return last

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
        wait_s = self._common.health.retry_after_s([attempt.target for attempt in attempts])
        return is_retry_worthwhile(failures, self.head), retry_after_s(wait_s)
