"""What the admin plane asks about endpoints and their requests: whoever builds the program hands it in."""

from collections.abc import Collection, Sequence
from typing import Protocol


class EndpointReading(Protocol):
    """One endpoint that has been asked.

    Attributes:
        in_flight: attempts that have begun and not ended.
    """

    provider: str
    model_id: str
    in_flight: int

    @property
    def state(self) -> str:
        """Its breaker's: `closed`, `open` or `half_open`."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why it isn't asked like others, in words; None if it is."""
        ...


class EndpointReadings(Protocol):
    """All of them."""

    def find(self, provider: str, model_id: str) -> EndpointReading | None:
        """One of them; None if it hasn't been asked."""
        ...

    def endpoints(self) -> Sequence[EndpointReading]:
        """All that have been asked."""
        ...


class _NothingKnown:
    """Nothing has been asked."""

    def find(self, provider: str, model_id: str) -> EndpointReading | None:  # noqa: ARG002
        return None

    def endpoints(self) -> Sequence[EndpointReading]:
        return ()


NOTHING_KNOWN: EndpointReadings = _NothingKnown()


class Traffic(Protocol):
    """The requests under way."""

    def count(self, provider: str, model_id: str, models: Collection[str] | None = None) -> int:
        """How many requests for these models (None: for any) an endpoint has."""
        ...

    def cut(self, provider: str, model_id: str, models: Collection[str] | None = None) -> int:
        """End the answers there that have begun, with an error that their clients read; how many those were."""
        ...


class _NoTraffic:
    """There are no requests."""

    def count(self, provider: str, model_id: str, models: Collection[str] | None = None) -> int:  # noqa: ARG002
        return 0

    cut = count


NO_TRAFFIC: Traffic = _NoTraffic()
