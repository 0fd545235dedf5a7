"""The records of the latest requests, kept to be looked at; what is told of them is made once somebody asks."""

import time
from collections import deque
from collections.abc import Iterable
from itertools import islice, takewhile

import msgspec

from proxy.telemetry.outcome import Outcome

KEPT = 1000
_MINUTE_S = 60.0
_now = time.monotonic


class RequestFilter(msgspec.Struct, frozen=True):
    """Which requests somebody wants to see; what is None doesn't matter.

    Attributes:
        model: the name that the client asked for.
        provider: who was asked, whoever answered in the end.
        status: of the answer, `503`, or its class, `5xx`.
        failed: whether the client got an error of ours, or less than a whole answer through a provider's fault.
    """

    model: str | None = None
    provider: str | None = None
    status: str | None = None
    failed: bool | None = None

    def matches(self, outcome: Outcome) -> bool:
        """Whether a request is wanted."""
        return (
            (self.model is None or outcome.model == self.model)
            and (self.status is None or self.status in {f"{outcome.status}", f"{outcome.status // 100}xx"})
            and (self.failed is None or outcome.has_failed == self.failed)
            and (
                self.provider is None
                or any(attempt.target.provider_name == self.provider for attempt in outcome.attempts)
            )
        )


class Pace(msgspec.Struct, frozen=True):
    """How busy it was in the last minute, or since the oldest request that is kept, if that is less ago.

    Attributes:
        window_s: how long that is, in seconds.
        error_share: of the requests that ended in it, those that failed; None if none ended.
    """

    window_s: float
    requests_per_s: float
    error_share: float | None


class Recent:
    """The last `KEPT` requests that are over.

    Attributes:
        add: takes in a record; called with each request, so it is the deque's own.
    """

    def __init__(self) -> None:
        self._outcomes: deque[Outcome] = deque(maxlen=KEPT)
        self.add = self._outcomes.append
        self._began = _now()

    @property
    def last(self) -> Outcome | None:
        """The latest."""
        return self._outcomes[-1] if self._outcomes else None

    def newest(self, wanted: RequestFilter, limit: int) -> list[Outcome]:
        """The latest that are wanted, newest first."""
        return list(islice(filter(wanted.matches, reversed(self._outcomes)), limit))

    def since(self, last: Outcome | None) -> list[Outcome]:
        """Those that came after the given one, newest first; all that are kept if it isn't any more."""
        # Copied in one step: other threads may ask while requests end.
        return list(takewhile(lambda outcome: outcome is not last, reversed(list(self._outcomes))))

    def pace(self) -> Pace:
        """How busy it is."""
        now = _now()
        since = self._outcomes[0].ended if len(self._outcomes) == KEPT else self._began
        window_s = min(max(now - since, 1.0), _MINUTE_S)
        latest = list(takewhile(lambda outcome: outcome.ended > now - window_s, reversed(self._outcomes)))
        return Pace(round(window_s, 1), round(len(latest) / window_s, 2), error_share(latest))


def error_share(outcomes: Iterable[Outcome]) -> float | None:
    """The share of those that failed; None if there are none."""
    failed = [outcome.has_failed for outcome in outcomes]
    return round(sum(failed) / len(failed), 4) if failed else None
