"""One attempt under way: whom its endpoint's breaker has let ask, and then what comes back."""

import time
from typing import Final

from proxy.errors import Failure
from proxy.gateway.hold import Held
from proxy.routing import RoutingTarget
from proxy.telemetry import Attempt, Ending
from proxy.upstream import FORCED, Answer, EndpointHealth, RequestTemplate, Ticket

# A member of an enum is looked up in a tenth of the time under a name of its own.
_COMPLETE: Final = Ending.COMPLETE


class Exchange:
    """A request to one target, and its answer, with what has to be told and given back once it is over.

    Args:
        target: who is asked.
        template: how.
        endpoint: its health.
        ticket: what the breaker has given for the attempt.

    Attributes:
        record: the attempt's record; there is none before it has begun.
        answer: what it is answered; there is none before the head is here.
        held: what holds the body back, if anything does; what comes meanwhile goes there as well.
        failure: why another target should be asked instead; None if the answer is for the client.
        advice: for the last of several, all failed: whether the client should try again, and after how many seconds.
    """

    record: Attempt
    answer: Answer

    def __init__(
        self, target: RoutingTarget, template: RequestTemplate, endpoint: EndpointHealth, ticket: Ticket
    ) -> None:
        self.target = target
        self.template = template
        self.endpoint = endpoint
        self.ticket = ticket
        self.held: Held | None = None
        self.failure: Failure | None = None
        self.advice: tuple[bool, int] | None = None
        self._is_judged = False
        self._places = 0

    @property
    def is_forced(self) -> bool:
        """Whether the target is asked although it is known to be out of service: so are all others."""
        return self.ticket == FORCED

    async def enter(self, until: float) -> None:
        """Take a place at the endpoint and its provider, if they have only so many; wait for it if need be.

        Raises `UpstreamBusyError` if there is none in time.
        """
        for limit in self.template.limits:
            if not limit.try_enter():
                await limit.enter(until - time.monotonic())
            self._places += 1

    def take(self) -> bytes:
        """All that is here of the body; to be called when it is passed on, and not before: more may come until then."""
        rest = self.answer.message.take()
        return rest if self.held is None else self.held.take() + rest

    def fail(self, failure: Failure, reason: str, status: int = 0, retry_after_s: float | None = None) -> None:
        """It failed, and why."""
        self.failure = failure
        self.record.fail(failure, reason, status)
        self._is_judged = True
        self.endpoint.fail(self.ticket, failure, retry_after_s)

    def give_up(self, failure: Failure | None, reason: str = "") -> None:
        """There is no answer, since it failed, or nobody waits for one any more."""
        if failure is None:
            self.endpoint.abandon(self.ticket)
        else:
            self.fail(failure, reason)
        self._leave()

    def close(self, ending: Ending = Ending.CLIENT_GONE) -> None:
        """Give back all that an answered one holds; its `ending` tells of the provider's health."""
        self.answer.close()
        if self._places:
            self._leave()
        if self._is_judged:
            return
        self._is_judged = True
        if ending is _COMPLETE:
            self.endpoint.succeed(self.ticket)
        elif ending is Ending.CUT:
            self.endpoint.fail(self.ticket, Failure.CUT)
        else:
            self.endpoint.abandon(self.ticket)

    def _leave(self) -> None:
        """Give the places back."""
        for limit in self.template.limits[: self._places]:
            limit.leave()
        self._places = 0
