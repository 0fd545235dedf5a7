"""The admin page as a browser without JavaScript uses it: what it shows, and what its forms do."""

from html.parser import HTMLParser

import pytest

from proxy.config.settings import RouteOptions
from proxy.errors import Failure
from proxy.routing import DynamicRoute, DynamicRoutingTable, RouteEndpoint, RouteStrategy
from tests.admin.conftest import AdminClient, csrf_of

Fields = list[tuple[str, str]]


class Page(HTMLParser):
    """What a reader of the page finds: table rows, forms with their fields, links, alerts and all elements' names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[str] = []
        self.forms: dict[str, list[Fields]] = {}
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._fields: Fields = []
        self._select = ""
        self._in_row = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = {name: value or "" for name, value in attrs}
        match tag:
            case "form":
                self._fields = []
                self.forms.setdefault(found["action"].partition("#")[0], []).append(self._fields)
            case "input" if found["name"] != "csrf":
                self._fields.append((found["name"], found.get("value", "")))
            case "select":
                self._select = found["name"]
                self._fields.append((self._select, ""))
            case "option" if "selected" in found:
                self._fields.pop()
                self._select_next = True
            case "a":
                self.links.append(found.get("href", ""))
            case "tr":
                self._in_row = True
                self.rows.append("")

    _select_next = False

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._in_row = False

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        self.text += f" {words}" if words else ""
        if self._in_row and words:
            self.rows[-1] += f" {words}"
        if self._select_next:
            self._fields.append((self._select, words))
            self._select_next = False

    def row(self, model: str) -> str:
        """The text of a model's row."""
        [row] = [row for row in self.rows if row.strip().startswith(f"{model} ")]
        return row


async def get(admin: AdminClient, path: str = "/admin/") -> Page:
    async with admin.get(path, headers={"Accept": "text/html"}) as response:
        assert response.status == 200
        return Page(await response.text())


async def send(admin: AdminClient, action: str, fields: Fields) -> tuple[int, Page]:
    """Send a form as a browser does, and follow where it leads."""
    fields = [*fields, ("csrf", await csrf_of(admin))]
    async with admin.post(action, data=fields, headers={"Accept": "text/html"}) as response:
        return response.status, Page(await response.text())


def endpoint(provider: str, model_id: str, weight: str = "") -> Fields:
    return [("provider", provider), ("model_id", model_id), ("weight", weight)]


def route_fields(model: str, *endpoints: Fields, strategy: str = "priority") -> Fields:
    return [("model", model), ("strategy", strategy), *(field for fields in endpoints for field in fields)]


async def test_page_shows_every_route_and_its_source(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Each route stands there with source and endpoints; a shadowed config route stands below its shadow."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "beta-9")]))
    page = await get(admin)

    assert "dynamic shadows config priority beta beta-9 Config underneath (priority) alpha alpha-1" in page.row("fast")
    assert "config load_balance alpha alpha-2 beta beta-2" in page.row("spread")
    assert "Revision 1 2 routes 1 dynamic, 1 shadowing config" in page.text
    assert "Revert to config" in page.row("fast")
    assert "Revert" not in page.row("spread")


async def test_page_without_a_slash_leads_to_the_page(admin: AdminClient) -> None:
    """`/admin` redirects to `/admin/`, so that the page's links work."""
    async with admin.get("/admin", allow_redirects=False) as response:
        assert response.status == 302
        assert response.headers["Location"] == "/admin/"


async def test_swap_link_fills_the_form_in(admin: AdminClient) -> None:
    """A route's Swap link shows the form with that route, and two empty rows more."""
    page = await get(admin)
    [link] = [link for link in page.links if "swap=spread" in link]
    [form] = (await get(admin, link)).forms["/admin/set"]

    assert form == route_fields(
        "spread",
        endpoint("alpha", "alpha-2", "1"),
        endpoint("beta", "beta-2", "1"),
        endpoint("", ""),
        endpoint("", ""),
        strategy="load_balance",
    )


async def test_form_puts_a_route_into_force(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """The form makes a dynamic route of its filled rows and leads back to the page, which says so."""
    fields = route_fields("fast", endpoint("", ""), endpoint("beta", "beta-9", "2"), endpoint("", "", "7"))
    fields.append(("csrf", await csrf_of(admin)))
    async with admin.post("/admin/set", data=fields, allow_redirects=False) as response:
        assert response.status == 303
        back = response.headers["Location"]

    assert table.list_dynamic_routes() == [DynamicRoute("fast", [RouteEndpoint("beta", "beta-9", 2)])]
    assert "The route is in force. The table is at revision 1" in (await get(admin, back)).text


async def test_button_reverts_to_config(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """A dynamic route's button removes it; the config route stands there again."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "beta-9")]))
    [form] = (await get(admin)).forms["/admin/remove"]
    status, page = await send(admin, "/admin/remove", form)

    assert status == 200
    assert "The dynamic route is removed. The table is at revision 2" in page.text
    assert "config priority alpha alpha-1" in page.row("fast")


async def test_removing_what_is_gone_says_so(admin: AdminClient) -> None:
    """The button of a page that is out of date shows the page of now, with the reason."""
    status, page = await send(admin, "/admin/remove", [("model", "fast")])

    assert status == 404
    assert "has no dynamic route" in page.text
    assert page.row("fast")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (route_fields("fast"), "no endpoints"),
        (route_fields("", endpoint("alpha", "x")), "`model` is empty"),
        (route_fields("fast", endpoint("", "x")), "Endpoint 1: choose a provider."),
        (route_fields("fast", endpoint("alpha", "x"), endpoint("beta", "")), "Endpoint 2: name the model id"),
        (route_fields("fast", endpoint("alpha", "x", "many")), "Endpoint 1: the weight"),
        (route_fields("fast", endpoint("alpha", "x", "0")), ">= 1"),
        (route_fields("fast", endpoint("gamma", "x")), "no provider `gamma`"),
        (route_fields("fast", endpoint("alpha", "x"), strategy="luck"), "Unknown strategy `luck`"),
        ([], "`model` is empty"),
    ],
)
async def test_refused_form_keeps_what_was_typed(
    admin: AdminClient, table: DynamicRoutingTable, fields: Fields, message: str
) -> None:
    """A route that is refused is 400, with the reason at the form, the input kept, and nothing changed."""
    status, page = await send(admin, "/admin/set", fields)

    assert status == 400
    assert message in page.text
    assert table.revision == 0
    [form] = page.forms["/admin/set"]
    kept = {value for name, value in form if value}
    assert {value for name, value in fields if name in {"model", "model_id", "weight"} and value} <= kept


async def test_a_swap_keeps_what_the_form_does_not_show(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """The page shows unusual options, and leaves them, and the contexts of endpoints that stay, as they are."""
    options = RouteOptions((Failure.CONNECT, Failure.TIMEOUT), hedge_after=1.5, sticky_header="X-Session")
    table.add_route(
        DynamicRoute("fast", [RouteEndpoint("alpha", "a", 1, 1000), RouteEndpoint("beta", "b")], options=options)
    )
    page = await get(admin)
    assert "priority failover_on connect, timeout hedge_after 1.5 s sticky_header X-Session alpha a" in page.row("fast")
    assert "failover_on" not in page.row("spread")

    fields = route_fields("fast", endpoint("beta", "b"), endpoint("alpha", "a"), endpoint("alpha", "c"))
    assert (await send(admin, "/admin/set", fields))[0] == 200
    [route] = table.list_dynamic_routes()
    assert route.options == options
    assert route.endpoints == [
        RouteEndpoint("beta", "b"),
        RouteEndpoint("alpha", "a", 1, 1000),
        RouteEndpoint("alpha", "c"),
    ]


async def test_the_form_offers_every_strategy(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Each strategy is a choice, and one that can be put into force."""
    page = await get(admin)
    for strategy in RouteStrategy:
        assert f" {strategy}" in page.text
        fields = route_fields("m", endpoint("alpha", "a"), endpoint("beta", "b"), strategy=strategy)
        assert (await send(admin, "/admin/set", fields))[0] == 200
        assert table.list_dynamic_routes()[0].strategy is strategy


async def test_form_of_too_many_fields_is_refused(admin: AdminClient) -> None:
    """A form with more fields than the page can make is 400."""
    async with admin.post("/admin/set", data=[("model_id", "x")] * 1000) as response:
        assert response.status == 400


async def test_hostile_names_stay_text(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Markup in model names and model ids is shown as it is, wherever it appears, and makes no element."""
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}"
    plain = (await get(admin)).tags
    table.add_route(DynamicRoute(hostile, [RouteEndpoint("alpha", hostile)]))

    page = await get(admin)
    assert hostile in page.text
    assert "script" not in page.tags
    assert page.tags.count("img") == plain.count("img")
    [removal] = page.forms["/admin/remove"]
    assert removal == [("model", hostile)]

    [link] = [link for link in page.links if "%3Cscript" in link]
    [form] = (await get(admin, link)).forms["/admin/set"]
    assert form[0] == ("model", hostile)

    status, page = await send(admin, "/admin/set", route_fields(hostile, endpoint(hostile, hostile)))
    assert status == 400
    assert "script" not in page.tags


async def test_page_says_only_its_own_words(admin: AdminClient) -> None:
    """A link to the page can't put words on it: an unknown message code shows nothing."""
    page = await get(admin, "/admin/?done=Call+this+number")
    assert "Call this number" not in page.text


async def test_stale_swap_link_offers_a_new_route(admin: AdminClient) -> None:
    """A Swap link whose route is gone shows the form with the name alone."""
    [form] = (await get(admin, "/admin/?swap=gone")).forms["/admin/set"]
    assert form[0] == ("model", "gone")
