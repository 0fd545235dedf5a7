"""What the pages show of the whole: the providers, and what routes ask them for."""

from collections import defaultdict

from proxy.config import Current
from proxy.config.settings import Provider
from proxy.routing import DynamicRoutingTable

# What is known of model ids is a help in typing: the first so many routes and so many ids will do.
_MOST_ROUTES = 2000
_MOST_IDS = 200


class Overview:
    """Reads the table and the settings for the pages.

    Args:
        table: the table that requests are routed by.
        current: the settings in force.
    """

    def __init__(self, table: DynamicRoutingTable, current: Current) -> None:
        self._table = table
        self._current = current
        self._uses: tuple[int, dict[str, dict[str, list[str]]]] = (-1, {})

    def providers(self) -> list[Provider]:
        """The configured providers, sorted by name."""
        return sorted(self._current.settings.providers.values(), key=lambda provider: provider.name)

    def uses(self, provider: str) -> dict[str, list[str]]:
        """The model ids that routes ask a provider for, sorted, each with these routes' models."""
        revision, uses = self._uses
        if revision != self._table.revision:
            revision = self._table.revision
            uses = self._read_uses()
            self._uses = (revision, uses)
        return uses.get(provider, {})

    def _read_uses(self) -> dict[str, dict[str, list[str]]]:
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for model in self._table.names()[:_MOST_ROUTES]:
            if (view := self._table.describe(model)) is None:
                continue
            for endpoint in view.endpoints:
                ids = found[endpoint.provider]
                if endpoint.model_id in ids or len(ids) < _MOST_IDS:
                    ids[endpoint.model_id].append(model)
        return {provider: dict(sorted(ids.items())) for provider, ids in found.items()}
