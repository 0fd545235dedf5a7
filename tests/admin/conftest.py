"""The admin plane on a real socket, mounted as the program mounts it."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from proxy.admin import Reloaded, build_admin
from proxy.admin.keys import Reload
from proxy.config import Admin, ConfigError, Current, Fault, Settings
from proxy.config.secret import Secret
from proxy.config.settings import AuthStyle, Endpoint, Model, ProtocolSettings, Provider, RouteStrategy
from proxy.errors import Protocol
from proxy.routing import ConfigRoutingTable, DynamicRoutingTable
from proxy.upstream import Preflight, Upstream

AdminClient: TypeAlias = TestClient[web.Request, web.Application]
StartAdmin: TypeAlias = Callable[..., Awaitable[AdminClient]]

PROVIDERS = {
    name: Provider(name, {protocol: ProtocolSettings(f"http://{name}.invalid/v1", AuthStyle.BEARER)})
    for name, protocol in (("alpha", Protocol.OPENAI), ("beta", Protocol.ANTHROPIC))
}
MODELS = {
    "fast": Model((Endpoint("alpha", "alpha-1"), Endpoint("beta", "beta-1"))),
    "spread": Model((Endpoint("alpha", "alpha-2"), Endpoint("beta", "beta-2")), RouteStrategy.LOAD_BALANCE),
}


async def no_metrics() -> bytes:
    """What there is to scrape."""
    return b"# nothing is counted\n"


async def nothing_to_reload() -> Reloaded:
    """What a proxy answers whose settings were not read from a file."""
    raise ConfigError([Fault("here", 3, "models", "this can't be read again")])


def admin_plane(table: DynamicRoutingTable, token: str, reload: Reload = nothing_to_reload) -> web.Application:
    """An admin application over `table`."""
    current = Current(Settings(admin=Admin(Secret(token)), providers=PROVIDERS))
    return build_admin(table, current, reload, no_metrics, Preflight(Upstream(PROVIDERS)))


@pytest.fixture
def table() -> DynamicRoutingTable:
    """A table with two config routes over two providers."""
    return DynamicRoutingTable(ConfigRoutingTable(PROVIDERS, MODELS))


@pytest.fixture
def start_admin(
    table: DynamicRoutingTable,
    aiohttp_client: Callable[[web.Application], Awaitable[AdminClient]],
) -> StartAdmin:
    """Start an admin plane over `table`, with or without a token."""

    async def start(token: str = "") -> AdminClient:
        root = web.Application()
        root.add_subapp("/admin", admin_plane(table, token))
        return await aiohttp_client(root)

    return start


@pytest.fixture
async def admin(start_admin: StartAdmin) -> AdminClient:
    """An admin plane without a token, as on a developer's own machine."""
    return await start_admin()
