"""The requests under way, by where they are: how many there are somewhere, and how they are ended there."""

from collections.abc import Collection, Iterator

from proxy.errors import WithdrawnError
from proxy.telemetry.outcome import Outcome

Models = Collection[str] | None
"""The models that clients asked for; None: whichever."""


class UnderWay:
    """Looks through the records of requests that are not over, which costs a request nothing.

    Args:
        outcomes: the records, which come and go.
    """

    def __init__(self, outcomes: Collection[Outcome]) -> None:
        self._outcomes = outcomes

    def count(self, provider: str, model_id: str, models: Models = None) -> int:
        """How many requests for these models are being answered, or are waiting for an answer, at an endpoint."""
        return sum(1 for _ in self._at(provider, model_id, models))

    def cut(self, provider: str, model_id: str, models: Models = None) -> int:
        """End the answers there that have begun, with an error that their clients read; how many those were.

        Who waits for an answer gets it, and a WebSocket stays open.
        """
        streams = [outcome.stream for outcome in self._at(provider, model_id, models) if outcome.stream is not None]
        for stream in streams:
            stream.cut(WithdrawnError(provider))
        return len(streams)

    def _at(self, provider: str, model_id: str, models: Models) -> Iterator[Outcome]:
        for outcome in self._outcomes:
            if models is None or outcome.model in models:
                for attempt in outcome.attempts:
                    target = attempt.target
                    if attempt.duration_s is None and (target.provider_name, target.model_id) == (provider, model_id):
                        yield outcome
                        break
