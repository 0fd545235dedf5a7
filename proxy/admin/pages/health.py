"""How an endpoint is, in the word and the colour that pages show it with."""

from typing import NamedTuple

from aiohttp import web

from proxy.admin.keys import DESK
from proxy.routing import RouteEndpoint

_WORDS = {"closed": "well", "half_open": "on trial", "open": "out of service"}


class Health(NamedTuple):
    """An endpoint's health.

    Attributes:
        kind: `well`, `trial`, `out` or `drained`.
        words: the same for people.
    """

    kind: str
    words: str


_KINDS = {"closed": "well", "half_open": "trial", "open": "out"}


class HealthBook:
    """The health of all endpoints, read once for a page."""

    def __init__(self, request: web.Request) -> None:
        providers = request.app[DESK].providers_in_service().providers
        self._drained = {provider.name for provider in providers if provider.drain is not None}
        self._states = {
            (provider.name, endpoint.model_id): endpoint.state
            for provider in providers
            for endpoint in provider.endpoints
        }

    def of(self, endpoint: RouteEndpoint) -> Health:
        """How an endpoint is; one that hasn't been asked counts as well."""
        if endpoint.provider in self._drained:
            return Health("drained", "drained")
        state = self._states.get((endpoint.provider, endpoint.model_id), "closed")
        return Health(_KINDS[state], _WORDS[state])
