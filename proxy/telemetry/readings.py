"""What metrics tell of the rest of the program, read in the moment in which somebody asks for them.

The readers are called from another thread: each must do with what it finds, and change nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol


class PoolReading(Protocol):
    """The connections to one origin."""

    @property
    def open(self) -> int:
        """Connections that are busy, rest, or are being opened."""
        ...

    @property
    def busy(self) -> int:
        """Connections that serve a request."""
        ...

    @property
    def resting(self) -> int:
        """Connections that wait for a request."""
        ...

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        ...


class LimitReading(Protocol):
    """The places at a provider or endpoint that has only so many."""

    @property
    def in_use(self) -> int:
        """Places that are taken."""
        ...

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        ...

    @property
    def refused(self) -> int:
        """Requests that got none."""
        ...


class EndpointReading(Protocol):
    """One endpoint's health."""

    @property
    def provider(self) -> str:
        """The provider's name."""
        ...

    @property
    def model_id(self) -> str:
        """What it is asked for."""
        ...

    @property
    def state(self) -> str:
        """The state of its breaker: `closed`, `half_open` or `open`."""
        ...

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        ...


@dataclass(frozen=True)
class Readings:
    """Readers of what there is beside the requests.

    Attributes:
        version: the program's.
        revision: the routing table's version.
        routed: provider and model id of each endpoint that a route leads to.
        pools: provider, protocol and connections of each origin.
        endpoints: the health of each endpoint that has been asked.
        limits: the places at each provider, by its name, and endpoint, `provider:model_id`, that has only so many.
        budgets: how many further attempts each provider's failures may cost now.
    """

    version: str
    revision: Callable[[], int]
    routed: Callable[[], Iterable[tuple[str, str]]]
    pools: Callable[[], Iterable[tuple[str, str, PoolReading]]]
    endpoints: Callable[[], Iterable[EndpointReading]]
    limits: Callable[[], Iterable[tuple[str, LimitReading]]]
    budgets: Callable[[], Iterable[tuple[str, float]]]
