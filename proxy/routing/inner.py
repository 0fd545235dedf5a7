"""What can stand below the dynamic routes: any table, described as well as it lets itself be."""

from proxy.config.settings import RouteStrategy
from proxy.routing.resolution import Resolution, RouteSource, RoutingTarget
from proxy.routing.tables import DescribedTable, ResolvingTable, RoutingTable
from proxy.routing.types import RouteEndpoint, RouteEntry, RouteView


def described(table: RoutingTable) -> DescribedTable:
    """The table itself if it describes its routes, or what describes them from outside."""
    return table if isinstance(table, DescribedTable) else _Described(table)


class _Described:
    """Describes a table that only routes and lists, as well as can be told from outside."""

    def __init__(self, table: RoutingTable) -> None:
        self._table = table

    async def route(self, model: str) -> RoutingTarget:
        return await self._table.route(model)

    async def resolve(self, model: str) -> Resolution:
        if isinstance(self._table, ResolvingTable):
            return await self._table.resolve(model)
        return Resolution(await self._table.route(model), (), RouteSource.CONFIG, 0)

    def list_routes(self) -> list[RouteEntry]:
        return self._table.list_routes()

    def describe(self, model: str) -> RouteView | None:
        return next((view for view in self.describe_routes() if view.model == model), None)

    def describe_routes(self) -> list[RouteView]:
        # Which model id stands behind a name is not told: the name itself is the best guess.
        return [
            RouteView(
                entry.model, RouteStrategy.PRIORITY, (RouteEndpoint(entry.provider, entry.model),), RouteSource.CONFIG
            )
            for entry in self._table.list_routes()
        ]

    def protocol_of(self, provider: str) -> str | None:
        return next((entry.protocol for entry in self._table.list_routes() if entry.provider == provider), None)

    def accepts_provider(self, provider: str) -> bool:  # noqa: ARG002 # which there are is not told, so any will do
        return True
