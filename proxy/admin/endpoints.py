"""How the endpoints are, as far as the admin plane asks: whoever builds the program hands it in."""

from collections.abc import Sequence
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
