"""Who may come in: the guard before every path of the admin plane."""

import logging
from base64 import b64encode

import pytest
from aiohttp import hdrs

from proxy.routing import DynamicRoutingTable
from tests.admin.conftest import AdminClient, StartAdmin

TOKEN = "correct-hörse"
ROUTE = {"model": "m", "endpoints": [{"provider": "alpha", "model_id": "x"}]}


def basic(password: str, user: str = "anybody") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_no_path_is_open_without_the_token(start_admin: StartAdmin) -> None:
    """Every route of the application, and every path that has none, is 401 without the token."""
    admin = await start_admin(TOKEN)
    paths = {
        (route.method, route.resource.canonical.replace("{model}", "fast"))
        for route in admin.app.router.routes()
        if route.resource is not None
    }
    assert ("DELETE", "/admin/routes/fast") in paths
    paths |= {
        ("GET", "/admin/static/admin.css"),
        ("GET", "/admin/nothing"),
        ("PUT", "/admin/routes"),
        ("OPTIONS", "/admin"),
    }
    for method, path in paths:
        async with admin.request(method, path, allow_redirects=False) as response:
            assert response.status == 401, (method, path)


@pytest.mark.parametrize(
    "headers", [bearer(TOKEN), basic(TOKEN), basic(TOKEN, user=""), {"Authorization": f"bearer {TOKEN}"}]
)
async def test_token_opens_as_bearer_or_as_password(start_admin: StartAdmin, headers: dict[str, str]) -> None:
    """The token is taken as bearer and as HTTP Basic's password, with any user name."""
    admin = await start_admin(TOKEN)
    async with admin.get("/admin/routes", headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        bearer("wrong"),
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        bearer(""),
        basic("wrong"),
        basic("", user=TOKEN),
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Digest {TOKEN}"},
        {"Authorization": TOKEN},
        {"X-Api-Key": TOKEN},
    ],
)
async def test_anything_else_stays_out(start_admin: StartAdmin, headers: dict[str, str]) -> None:
    """A wrong token, a piece of it, another scheme or another header don't open."""
    admin = await start_admin(TOKEN)
    async with admin.get("/admin/routes", headers=headers) as response:
        assert response.status == 401
        assert set((await response.json())["error"]) == {"message"}


async def test_token_in_the_query_does_not_open(start_admin: StartAdmin) -> None:
    """Addresses end up in logs and histories, so a token there is not taken."""
    admin = await start_admin(TOKEN)
    for name in ("token", "access_token"):
        async with admin.get("/admin/routes", params={name: TOKEN}) as response:
            assert response.status == 401


async def test_challenge_fits_the_client(start_admin: StartAdmin) -> None:
    """A browser is asked for a password and shown a page; a program is told of bearer tokens in JSON."""
    admin = await start_admin(TOKEN)
    async with admin.get("/admin/", headers={"Accept": "text/html"}) as response:
        assert response.headers["WWW-Authenticate"] == 'Basic realm="Pointsman admin", charset="UTF-8"'
        assert response.content_type == "text/html"
    async with admin.get("/admin/routes") as response:
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.content_type == "application/json"


async def test_failed_attempt_is_logged_without_the_token(
    start_admin: StartAdmin, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong token is one warning with the peer's address, and no token, given or right, appears in it."""
    admin = await start_admin(TOKEN)
    with caplog.at_level(logging.INFO, "pointsman"):
        async with admin.get("/admin/routes", headers=bearer("wrong-guess")):
            pass
        async with admin.get("/admin/routes"):
            pass
    [record] = [record for record in caplog.records if record.name == "pointsman.admin"]
    assert record.levelno == logging.WARNING
    assert "127.0.0.1" in record.getMessage()
    assert "wrong-guess" not in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8787", "127.0.0.1:1", "127.1.2.3", "[::1]", "[::1]:8787"])
async def test_loopback_names_open_without_a_token(admin: AdminClient, host: str) -> None:
    """Without a token, a loopback name as Host is let in."""
    async with admin.get("/admin/routes", headers={"Host": host}) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:8787", "", "localhost@evil.example", "127.0.0.1,x"],
)  # fmt: skip
async def test_rebound_names_stay_out_without_a_token(admin: AdminClient, host: str) -> None:
    """Without a token, any other Host is 403, for reading too: its page was served by a stranger."""
    forwarded = {"X-Forwarded-Host": "localhost", "Forwarded": "host=localhost"}
    async with admin.get("/admin/routes", headers={"Host": host, **forwarded}) as response:
        assert response.status == 403


async def test_any_host_name_opens_with_the_token(start_admin: StartAdmin) -> None:
    """With a token, the plane may be reached by whatever name it has."""
    admin = await start_admin(TOKEN)
    async with admin.get("/admin/routes", headers={"Host": "proxy.internal", **bearer(TOKEN)}) as response:
        assert response.status == 200


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("token", ["", TOKEN])
async def test_another_sites_page_changes_nothing(
    start_admin: StartAdmin, table: DynamicRoutingTable, token: str, headers: dict[str, str]
) -> None:
    """A change that a browser says comes from another site is 403, although it carries the remembered password."""
    admin = await start_admin(token)
    headers = headers | (basic(token) if token else {})
    async with admin.post("/admin/routes", json=ROUTE, headers=headers) as response:
        assert response.status == 403
    async with admin.post("/admin/set", data={"model": "m"}, headers=headers) as response:
        assert response.status == 403
    async with admin.delete("/admin/routes/fast", headers=headers) as response:
        assert response.status == 403
    assert table.revision == 0


@pytest.mark.parametrize(
    "origin", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "own"}]
)
async def test_own_page_and_plain_clients_change_routes(start_admin: StartAdmin, origin: dict[str, str]) -> None:
    """The page's own requests and those of clients that are no browsers pass."""
    admin = await start_admin(TOKEN)
    if "Origin" in origin:
        origin = {"Origin": str(admin.make_url("/")).rstrip("/")}
    async with admin.post("/admin/routes", json=ROUTE, headers=origin | basic(TOKEN)) as response:
        assert response.status == 200


async def test_bearer_is_exempt_from_the_origin_rule(start_admin: StartAdmin) -> None:
    """No browser adds a bearer token by itself, so such a request can't be forged."""
    admin = await start_admin(TOKEN)
    async with admin.post(
        "/admin/routes", json=ROUTE, headers={"Origin": "http://tool.example", **bearer(TOKEN)}
    ) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/admin/", "/admin/routes", "/admin/static/admin.css", "/admin/nothing", "/admin"])
async def test_every_answer_has_the_security_headers(admin: AdminClient, path: str) -> None:
    """Page, API, style sheet, refusal and redirect all carry the same protective headers."""
    async with admin.get(path, allow_redirects=False) as response:
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert response.headers[hdrs.CACHE_CONTROL] == "no-store"
