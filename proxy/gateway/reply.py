"""An attempt that a provider has answered."""

from proxy.errors import Failure
from proxy.gateway.hold import Held
from proxy.gateway.targets import Way
from proxy.telemetry import Attempt, Ending
from proxy.upstream import Answer


class Reply:
    """A provider's answer, and what has to be told and given back once it is over.

    Args:
        answer: the answer.
        record: the attempt's record.
        way: how it was asked; it takes a place there.

    Attributes:
        held: what holds the body back, if anything does; what comes meanwhile goes there as well.
        failure: why another target should be asked instead; None if the answer is for the client.
        advice: for the last of several, all failed: whether the client should try again, and after how many seconds.
    """

    __slots__ = ("_is_judged", "_way", "advice", "answer", "failure", "held", "record")

    def __init__(self, answer: Answer, record: Attempt, way: Way) -> None:
        self.answer = answer
        self.record = record
        self.held: Held | None = None
        self.failure: Failure | None = None
        self.advice: tuple[bool, int] | None = None
        self._way = way
        self._is_judged = False

    def take(self) -> bytes:
        """All that is here of the body; to be called when it is passed on, and not before: more may come until then."""
        rest = self.answer.message.take()
        return rest if self.held is None else self.held.take() + rest

    def accept(self) -> None:
        """It is an answer for the client."""
        self._way.endpoint.answered(self._way.ticket, self.record.first_byte_s or 0.0)

    def fail(self, failure: Failure, reason: str, status: int = 0, retry_after_s: float | None = None) -> None:
        """It failed, and why."""
        self.failure = failure
        self.record.fail(failure, reason, status)
        self._is_judged = True
        self._way.endpoint.fail(self._way.ticket, failure, retry_after_s)

    def close(self, ending: Ending = Ending.CLIENT_GONE) -> None:
        """Give back all that it holds; its `ending` tells of the provider's health."""
        self.answer.close()
        way = self._way
        if way.template.limits:
            way.leave()
        if self._is_judged:
            return
        self._is_judged = True
        if ending is Ending.COMPLETE:
            way.endpoint.succeed(way.ticket)
        elif ending is Ending.CUT:
            way.endpoint.fail(way.ticket, Failure.CUT)
        else:
            way.endpoint.abandon(way.ticket)
