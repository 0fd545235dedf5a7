"""Who may come in: the guard before every path of the admin plane."""

import logging
import re
from base64 import b64encode

import pytest
from aiohttp import hdrs
from yarl import URL

from proxy.routing import DynamicRoutingTable
from tests.admin.conftest import AdminClient, StartAdmin, csrf_of, log_in

TOKEN = "correct-hörse"
ROUTE = {"model": "m", "endpoints": [{"provider": "alpha", "model_id": "x"}]}


def basic(password: str, user: str = "anybody") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


OPEN = {("GET", "/admin/login"), ("POST", "/admin/login"), ("GET", "/admin/static/{filename}")}


def every_route(admin: AdminClient) -> set[tuple[str, str]]:
    """Each route of the application: its method, and its path as it is written."""
    return {
        (route.method, route.resource.canonical) for route in admin.app.router.routes() if route.resource is not None
    } - {("HEAD", path) for _, path in OPEN}


def example(path: str) -> str:
    """A path that a route matches."""
    return re.sub(r"\{\w+\}", "fast", path)


async def test_no_path_is_open_without_the_token(start_admin: StartAdmin) -> None:
    """Every route of the application, and every path that has none, is 401 without the token, save for the login."""
    admin = await start_admin(TOKEN)
    routes = every_route(admin)
    assert ("DELETE", "/admin/routes/{model}") in routes
    assert routes > OPEN
    for method, path in (routes - OPEN) | {("GET", "/admin/nothing"), ("PUT", "/admin/routes"), ("OPTIONS", "/admin")}:
        async with admin.request(method, example(path), allow_redirects=False) as response:
            assert response.status == 401, (method, path)
            assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_what_is_open_shows_nothing(start_admin: StartAdmin) -> None:
    """The login page and the style sheet are there for everybody, and name no route, provider or token."""
    admin = await start_admin(TOKEN)
    for path in ("/admin/login", "/admin/static/admin.css"):
        async with admin.get(path) as response:
            assert response.status == 200
            text = await response.text()
            assert not any(word in text for word in ("alpha", "spread", TOKEN))


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_no_path_takes_less_than_its_role(start_admin: StartAdmin, table: DynamicRoutingTable, role: str) -> None:
    """A viewer may ask nothing that changes something but to log out and the theme, an operator nothing that reloads."""
    admin = await start_admin(TOKEN, someone=role)
    routes = every_route(admin)
    may = (
        {"/admin/logout", "/admin/desk/theme"} if role == "viewer" else {path for _, path in routes} - {"/admin/reload"}
    )
    for method, path in routes - OPEN:
        if method in {"GET", "HEAD"}:
            continue
        headers = bearer("token-of-someone")
        async with admin.request(method, example(path), headers=headers, allow_redirects=False) as got:
            assert (got.status == 403) == (path not in may), (method, path)
    assert table.revision == 0


async def test_a_path_without_a_role_is_nobodys(start_admin: StartAdmin) -> None:
    """A path that was added past the table of roles is refused, whoever asks."""
    admin = await start_admin(TOKEN, forgotten=True)
    async with admin.get("/admin/forgotten", headers=bearer(TOKEN)) as response:
        assert response.status == 403


@pytest.mark.parametrize("headers", [bearer(TOKEN), {"Authorization": f"bearer  {TOKEN}"}])
async def test_token_opens_as_bearer(start_admin: StartAdmin, headers: dict[str, str]) -> None:
    """The token is taken as bearer."""
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
        basic(TOKEN),
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


@pytest.mark.parametrize("name", ["token", "access_token", "Token", "api_key", "password"])
@pytest.mark.parametrize("headers", [{}, bearer(TOKEN)])
async def test_token_in_the_query_is_refused(
    start_admin: StartAdmin, caplog: pytest.LogCaptureFixture, name: str, headers: dict[str, str]
) -> None:
    """Addresses end up in logs and histories, so a token there is refused, even beside a good one, and not logged."""
    admin = await start_admin(TOKEN)
    with caplog.at_level(logging.DEBUG, "pointsman"):
        async with admin.get("/admin/routes", params={name: TOKEN}, headers=headers) as response:
            assert response.status == 400
            assert "doesn't belong into the address" in (await response.json())["error"]["message"]
    assert TOKEN not in caplog.text


async def test_browsers_are_led_to_the_login_page(start_admin: StartAdmin) -> None:
    """A browser without a session gets there by a redirect, whatever it asks; a program gets 401 in JSON."""
    admin = await start_admin(TOKEN)
    for method, path in (
        ("GET", "/admin/"),
        ("GET", "/admin/routes"),
        ("POST", "/admin/desk/swap"),
        ("GET", "/admin/nothing"),
    ):
        async with admin.request(method, path, headers={"Accept": "text/html"}, allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == "/admin/login"
    async with admin.get("/admin/routes") as response:
        assert response.status == 401
        assert response.content_type == "application/json"


async def test_a_link_from_elsewhere_takes_a_step_more(start_admin: StartAdmin) -> None:
    """A browser doesn't send its cookie when it follows a stranger's link: the next step, from a page of ours, does."""
    admin = await start_admin(TOKEN)
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site"}
    path = "/admin/?swap=a%22%3E%3Cscript%3E"
    async with admin.get(URL(path, encoded=True), headers=headers, allow_redirects=False) as response:
        assert response.status == 200
        text = await response.text()
    assert '<meta http-equiv="refresh" content="0; url=/admin/?swap=a%22%3E%3Cscript%3E">' in text


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
    async with admin.get("/admin/login", headers={"Host": "proxy.internal"}) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("Proxy.internal:8787", 200),
        ("proxy.internal", 200),
        ("127.0.0.1:1", 200),
        ("evil.example", 403),
        ("proxy.internal.evil.example", 403),
        ("evil.example@proxy.internal", 403),
        ("", 403),
    ],
)
async def test_only_known_host_names_open_to_browsers(start_admin: StartAdmin, host: str, status: int) -> None:
    """With `admin.hosts`, a browser reaches the plane by these names and loopback's; a token's program by any."""
    admin = await start_admin(TOKEN, hosts=("proxy.internal",))
    headers = {"Host": host, "X-Forwarded-Host": "proxy.internal"}
    for path in ("/admin/login", "/admin/static/admin.css"):
        async with admin.get(path, headers=headers) as response:
            assert response.status == status
    async with admin.get("/admin/routes", headers=headers | bearer(TOKEN)) as response:
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
    """A change that a browser says comes from another site is 403, although it carries the session and its token."""
    admin = await start_admin(token)
    if token:
        await log_in(admin, token)
    csrf = await csrf_of(admin)
    headers = {**headers, "X-CSRF-Token": csrf}
    async with admin.post("/admin/routes", json=ROUTE, headers=headers) as response:
        assert response.status == 403
    async with admin.post("/admin/desk/swap", data={"model": "m", "csrf": csrf}, headers=headers) as response:
        assert response.status == 403
    async with admin.delete("/admin/routes/fast", headers=headers) as response:
        assert response.status == 403
    assert table.revision == 0


@pytest.mark.parametrize("origin", [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "own"}])
@pytest.mark.parametrize("token", ["", TOKEN])
async def test_own_page_must_prove_itself(start_admin: StartAdmin, origin: dict[str, str], token: str) -> None:
    """A script of the page sends the page's token in a header; without it, or with another browser's, it is 403."""
    admin = await start_admin(token)
    if token:
        await log_in(admin, token)
    csrf = await csrf_of(admin)
    if "Origin" in origin:
        origin = {"Origin": str(admin.make_url("/")).rstrip("/")}
    for header in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "f" * 64}, {"X-CSRF-Token": csrf[:-1] + "é"}):
        async with admin.post("/admin/routes", json=ROUTE, headers=origin | header) as response:
            assert response.status == 403
    async with admin.post("/admin/routes", json=ROUTE, headers={**origin, "X-CSRF-Token": csrf}) as response:
        assert response.status == 200


async def test_programs_change_routes_where_no_token_is_needed(admin: AdminClient) -> None:
    """What comes from no page needs no page's token."""
    async with admin.post("/admin/routes", json=ROUTE) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/admin/desk/swap", "/admin/desk/revert", "/admin/logout", "/admin/login"])
@pytest.mark.parametrize("token", ["", TOKEN])
async def test_every_form_needs_its_token(
    start_admin: StartAdmin, table: DynamicRoutingTable, token: str, path: str
) -> None:
    """A form without the page's token, or with one that isn't this browser's, is 403 and changes nothing."""
    admin = await start_admin(token)
    if token:
        await log_in(admin, token)
    stranger = await csrf_of(admin)
    admin.session.cookie_jar.clear(lambda cookie: cookie.key == "pointsman_visitor")
    if token:
        await log_in(admin, token)
    await csrf_of(admin)
    form = {"model": "fast", "provider": "alpha", "model_id": "x", "token": token}
    for csrf in ({}, {"csrf": ""}, {"csrf": "f" * 64}, {"csrf": stranger}):
        async with admin.post(path, data=form | csrf, allow_redirects=False) as response:
            assert response.status == 403
            assert "out of date" in (await response.json())["error"]["message"]
    assert table.revision == 0


async def test_bearer_is_exempt_from_the_origin_rule(start_admin: StartAdmin) -> None:
    """No browser adds a bearer token by itself, so such a request can't be forged."""
    admin = await start_admin(TOKEN)
    async with admin.post(
        "/admin/routes", json=ROUTE, headers={"Origin": "http://tool.example", **bearer(TOKEN)}
    ) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "path", ["/admin/", "/admin/login", "/admin/routes", "/admin/static/admin.css", "/admin/nothing", "/admin"]
)
@pytest.mark.parametrize("token", ["", TOKEN])
async def test_every_answer_has_the_security_headers(start_admin: StartAdmin, token: str, path: str) -> None:
    """Page, API, style sheet, refusal and redirect all carry the same protective headers."""
    admin = await start_admin(token)
    async with admin.get(path, allow_redirects=False) as response:
        policy = response.headers["Content-Security-Policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "script-src 'self'"} <= set(
            policy.split("; ")
        )
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert response.headers[hdrs.CACHE_CONTROL] == "no-store"
