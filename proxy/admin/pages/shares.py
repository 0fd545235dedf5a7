"""What a route's order and weights come to, told for each endpoint."""

from collections.abc import Sequence
from typing import NamedTuple

from proxy.config.settings import RouteStrategy
from proxy.routing import RouteEndpoint


class Shared(NamedTuple):
    """One endpoint's part in a route.

    Attributes:
        endpoint: which.
        percent: of the route's requests, while all its endpoints are well; None where the moment decides.
        part: the same in words.
    """

    endpoint: RouteEndpoint
    percent: float | None
    part: str


def shares(strategy: str, endpoints: Sequence[RouteEndpoint]) -> list[Shared]:
    """Each endpoint with its part, in the route's order."""
    total = sum(endpoint.weight for endpoint in endpoints)
    parts = []
    for index, endpoint in enumerate(endpoints):
        match strategy:
            case RouteStrategy.PRIORITY:
                percent: float | None = 0.0 if index else 100.0
                part = f"fallback {index}" if index else "first"
            case RouteStrategy.LEAST_LATENCY:
                percent, part = None, "if quickest"
            case RouteStrategy.LOAD_BALANCE:
                percent = 100 / len(endpoints)
                part = f"{percent:.3g} %"
            case _:
                percent = 100 * endpoint.weight / total
                part = f"{percent:.3g} %"
        parts.append(Shared(endpoint, percent, part))
    return parts
