"""The admin plane on a real socket, mounted as the program mounts it."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from proxy.admin import build_admin
from proxy.config.settings import AuthStyle, Endpoint, Model, ProtocolSettings, Provider, RouteStrategy, Secret
from proxy.errors import Protocol
from proxy.routing import ConfigRoutingTable, DynamicRoutingTable

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
        root.add_subapp("/admin", build_admin(table, PROVIDERS, Secret(token)))
        return await aiohttp_client(root)

    return start


@pytest.fixture
async def admin(start_admin: StartAdmin) -> AdminClient:
    """An admin plane without a token, as on a developer's own machine."""
    return await start_admin()
