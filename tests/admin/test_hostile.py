"""Text that strangers choose, wherever it comes to be shown or sent: it stays text."""

import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from aiohttp import ClientSession, CookieJar, web
from aiohttp.test_utils import TestServer
from markupsafe import escape
from yarl import URL

from proxy.routing import DynamicRoutingTable
from tests.admin.conftest import AdminClient, StartAdmin, log_in
from tests.conftest import MakeProxy

TOKEN = "s3cret-admin-token"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}
MARK = "h0stile"
HOSTILE = f"\"'><{MARK} onload=alert(1)></script><script>{MARK}</script>{{{{ {MARK} }}}}"
INJECTION = f"x\r\nX-{MARK}: 1\r\n\r\n<{MARK}>"


class Elements(HTMLParser):
    """Names and attributes of a page's elements, and what its scripts hold."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.handlers: set[str] = set()
        self.scripts = ""
        self._is_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.handlers |= {name for name, _ in attrs if name.startswith("on") or name == "style"}
        self._is_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._is_script = False

    def handle_data(self, data: str) -> None:
        if self._is_script:
            self.scripts += data


def pages(admin: AdminClient) -> set[str]:
    """Every path of the plane that a browser can look at, for a hostile model."""
    own = {
        route.resource.canonical
        for route in admin.app.router.routes()
        if route.resource is not None and route.method == "GET" and "/static" not in route.resource.canonical
    }
    name = quote(HOSTILE, safe="")
    paths = {path.replace("{model}", name).replace("{name}", name) for path in own if "events" not in path}
    return paths | {
        f"{path}?{key}={name}" for path in paths for key in ("swap", "model", "q", "done", "provider", "after")
    }


async def test_no_page_takes_text_for_markup(start_admin: StartAdmin, table: DynamicRoutingTable) -> None:
    """Markup in names, model ids, reasons and refusals makes no element and no handler, on any page."""
    admin = await start_admin(TOKEN)
    await log_in(admin, TOKEN)
    route = {
        "model": HOSTILE,
        "endpoints": [{"provider": "alpha", "model_id": HOSTILE}, {"provider": "beta", "model_id": "b"}],
        "reason": HOSTILE,
        "expires_in_s": 3600,
    }
    calls: list[tuple[str, object]] = [
        ("routes", route),
        ("providers/alpha/drain", {"reason": HOSTILE, "force": True}),
    ]
    for path, body in calls:
        async with admin.post(f"/admin/{path}", json=body, headers=ADMIN) as response:
            assert response.status == 200, await response.text()
    assert [each.model for each in table.list_dynamic_routes()] == [HOSTILE]

    shown = 0
    for path in pages(admin):
        async with admin.get(URL(path, encoded=True), headers={"Accept": "text/html"}) as response:
            if response.content_type != "text/html":
                assert response.content_type in {"application/json", "text/plain"}, path
                continue
            text = await response.text()
        found = Elements(text)
        shown += MARK in text
        assert MARK not in found.names, path
        assert not found.handlers, path
        assert MARK not in found.scripts, path
    assert shown


async def test_a_providers_words_stay_text(make_proxy: MakeProxy) -> None:
    """What a provider answers to a preflight is shown on the page as it is spelt."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": HOSTILE}}, status=400)

    provider = web.Application()
    provider.router.add_post("/v1/chat/completions", refuse)
    async with TestServer(provider) as server:
        proxy = await make_proxy(
            providers={"mean": {"base_url": f"http://{server.host}:{server.port}/v1"}},
            models={"fast": {"endpoints": [{"provider": "mean", "model_id": "m"}]}},
        )
        async with ClientSession(f"http://{proxy.address}", cookie_jar=CookieJar(unsafe=True)) as browser:
            async with browser.get("/admin/", headers={"Accept": "text/html"}) as response:
                csrf = re.search(r'name="csrf" value="(\w+)"', await response.text())
            assert csrf is not None
            fields = [("csrf", csrf[1]), ("model", "fast"), ("provider", "mean"), ("model_id", "m"), ("weight", "")]
            data = [*fields, ("strategy", "priority"), ("do", "preflight")]
            async with browser.post("/admin/desk/swap", data=data, headers={"Accept": "text/html"}) as response:
                text = await response.text()

    found = Elements(text)
    assert escape(HOSTILE) in text
    assert MARK not in found.names
    assert not found.handlers
    assert MARK not in found.scripts


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
async def test_names_make_no_headers(admin: AdminClient, table: DynamicRoutingTable, method: str) -> None:
    """Line breaks in a model's name, in body, path or query, are refused, and come back in no header."""
    endpoints = [{"provider": "alpha", "model_id": "a"}]
    injected = quote(INJECTION, safe="")
    path, body = {
        "POST": ("/admin/routes", {"model": INJECTION, "endpoints": endpoints}),
        "DELETE": (f"/admin/routes/{injected}", None),
        "GET": (f"/admin/resolve?model={injected}", None),
    }[method]
    async with admin.request(method, URL(path, encoded=True), json=body, headers={"If-Match": "*"}) as response:
        assert response.status in {400, 404}
        assert not any(MARK in name or MARK in value for name, value in response.headers.items())
        assert response.content_type == "application/json"
    assert table.revision == 0


async def test_addresses_make_no_headers(start_admin: StartAdmin) -> None:
    """Neither do they on the way to the login page."""
    admin = await start_admin(TOKEN)
    path = f"/admin/?swap={quote(INJECTION, safe='')}"
    browser = {"Accept": "text/html"}
    for headers in (browser, {**browser, "Sec-Fetch-Site": "cross-site"}):
        async with admin.get(URL(path, encoded=True), headers=headers, allow_redirects=False) as response:
            assert response.status in {200, 303}
            assert not any(MARK in name or MARK in value for name, value in response.headers.items())
