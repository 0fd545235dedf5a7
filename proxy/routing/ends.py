"""When what is temporary ends, and what takes it back."""

from collections.abc import Mapping

from proxy.routing.changes import Draft
from proxy.routing.drains import Drain
from proxy.routing.types import Expiry


def next_end(routes: Mapping[str, Expiry], drains: Mapping[str, Drain]) -> float | None:
    """When the first of temporary routes and drains ends, in seconds since the epoch; None: none does."""
    ends = (drain.expires_at for drain in drains.values() if drain.expires_at is not None)
    return min((*(expiry.at for expiry in list(routes.values())), *ends), default=None)


def ended(routes: Mapping[str, Expiry], drains: Mapping[str, Drain], now: float) -> list[Draft]:
    """What takes back each route and drain whose time is over."""
    drafts = [Draft({model: each.following(now)}) for model, each in list(routes.items()) if each.at <= now]
    over = [drain for drain in drains.values() if drain.expires_at is not None and drain.expires_at <= now]
    return drafts + [Draft(drains={drain.provider: None}) for drain in over]
