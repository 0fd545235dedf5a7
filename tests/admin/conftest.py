"""The admin plane on a real socket, mounted as the program mounts it."""

import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from proxy.admin import Reloaded, add_live, build_admin
from proxy.admin.keys import Reload
from proxy.config import (
    Admin,
    AuthStyle,
    ConfigError,
    Current,
    Endpoint,
    Fault,
    Model,
    NamedToken,
    ProtocolSettings,
    Provider,
    Role,
    RouteStrategy,
    Secret,
    Settings,
    hash_token,
)
from proxy.config.access import TokenHash, TokenName
from proxy.errors import Protocol
from proxy.routing import ConfigRoutingTable, DynamicRoutingTable
from proxy.telemetry import Readings, Telemetry
from proxy.upstream import Preflight, Upstream

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')

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


def nothing_to_read(table: DynamicRoutingTable) -> Readings:
    """What there is to read where no request has come."""
    return Readings("test", lambda: table.revision, tuple, tuple, tuple, tuple, tuple)


async def nothing_here(_: web.Request) -> web.Response:
    """Answers whoever gets so far."""
    return web.Response()


async def nothing_to_reload() -> Reloaded:
    """What a proxy answers whose settings were not read from a file."""
    raise ConfigError([Fault("here", 3, "models", "this can't be read again")])


def admin_plane(table: DynamicRoutingTable, token: str, reload: Reload = nothing_to_reload) -> web.Application:
    """An admin application over `table`."""
    current = Current(Settings(admin=Admin(Secret(token)), providers=PROVIDERS))
    return build_admin(table, current, reload, no_metrics, Preflight(Upstream(PROVIDERS)))


class Clock:
    """Time that passes when it is told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def table() -> DynamicRoutingTable:
    """A table with two config routes over two providers."""
    return DynamicRoutingTable(ConfigRoutingTable(PROVIDERS, MODELS))


@pytest.fixture
def current() -> Current:
    """The settings in force, which a test may replace as a reload does."""
    return Current(Settings())


@pytest.fixture
def clock() -> Clock:
    """The time that sessions go by."""
    return Clock()


@pytest.fixture
def start_admin(
    table: DynamicRoutingTable,
    current: Current,
    clock: Clock,
    aiohttp_client: Callable[[web.Application], Awaitable[AdminClient]],
) -> StartAdmin:
    """Start an admin plane over `table`, with or without a token."""

    async def start(token: str = "", *, forgotten: bool = False, **access: object) -> AdminClient:
        """Start one.

        Args:
            token: the admin token.
            forgotten: whether a path was added past the table of roles.
            access: more of the `admin` section; a role by a name makes a token `token-of-NAME` instead.
        """
        roles = {name: access.pop(name) for name in list(access) if access[name] in set(Role)}
        tokens = tuple(
            NamedToken(TokenName(name), Role(str(role)), TokenHash(hash_token(f"token-of-{name}")))
            for name, role in roles.items()
        )
        current.settings = Settings(admin=Admin(Secret(token), tokens, **access), providers=PROVIDERS)  # type: ignore[arg-type] # by name
        preflight = Preflight(Upstream(PROVIDERS))
        app = build_admin(table, current, nothing_to_reload, no_metrics, preflight, clock=clock)
        add_live(app, Telemetry(current, nothing_to_read(table)))
        if forgotten:
            app.router.add_get("/forgotten", nothing_here)
        root = web.Application()
        root.add_subapp("/admin", app)
        return await aiohttp_client(root)

    return start


async def csrf_of(admin: AdminClient, path: str = "/admin/") -> str:
    """The token of a page's forms; the client keeps the cookie that it is bound to."""
    async with admin.get(path, headers={"Accept": "text/html"}) as response:
        found = _CSRF.search(await response.text())
        assert found is not None
        return found[1]


async def log_in(admin: AdminClient, token: str) -> None:
    """Log in as a browser does; the client keeps the session's cookie."""
    fields = {"token": token, "csrf": await csrf_of(admin, "/admin/login")}
    async with admin.post("/admin/login", data=fields, allow_redirects=False) as response:
        assert response.status == 303, await response.text()


@pytest.fixture
async def admin(start_admin: StartAdmin) -> AdminClient:
    """An admin plane without a token, as on a developer's own machine."""
    return await start_admin()
