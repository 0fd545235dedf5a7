"""The admin pages in a real browser, with JavaScript and without, under their own content security policy."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from playwright.async_api import Page, expect

from proxy.routing import DynamicRoute, DynamicRoutingTable, RouteEndpoint
from tests.admin.browser import WIDTHS, chromium, complaints_of, log_in, look
from tests.admin.conftest import AdminClient, StartAdmin

TOKEN = "browser-token"

OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture
async def admin(start_admin: StartAdmin) -> AdminClient:
    """An admin plane with a token, with which browsers log in."""
    return await start_admin(TOKEN)


@pytest.fixture
async def open_page(admin: AdminClient) -> AsyncIterator[OpenPage]:
    """Open a page in a browser of its own; a complaint in its console, or an error in its script, fails the test."""
    complaints: list[list[str]] = []
    async with chromium() as browser:

        async def open_(path: str = "/admin/", **options: object) -> Page:
            context = await browser.new_context(**options)  # type: ignore[arg-type] # by name
            page = await context.new_page()
            complaints.append(complaints_of(page))
            await log_in(page, str(admin.make_url("/admin/")), TOKEN)
            await page.goto(str(admin.make_url(path)))
            return page

        yield open_
    # A form that is refused on purpose is told of as well.
    assert [text for each in complaints for text in each if "status of 4" not in text] == []


async def fill_endpoint(page: Page, number: int, provider: str, model_id: str) -> None:
    await page.get_by_label(f"Provider of endpoint {number}").select_option(provider)
    await page.get_by_label(f"Model id of endpoint {number}").fill(model_id)


# What holds with JavaScript and without.


@pytest.fixture(params=[True, False], ids=["with-script", "without-script"])
async def page(open_page: OpenPage, request: pytest.FixtureRequest) -> Page:
    """The routes."""
    return await open_page(java_script_enabled=request.param)


async def review(page: Page) -> None:
    """Have the form reviewed; with JavaScript that happens by itself."""
    if await page.evaluate("document.documentElement.dataset.live === undefined"):
        await page.get_by_role("button", name=re.compile("Review (the change|again)")).click()


async def test_operator_swaps_a_route_and_reverts_it(page: Page, table: DynamicRoutingTable) -> None:
    """Swap a config route, add an endpoint to the dynamic one, then revert: each step is in force at once."""
    await page.get_by_role("link", name="Swap fast").click()
    await fill_endpoint(page, 1, "beta", "beta-9")
    await page.get_by_role("button", name="Remove endpoint 2").click()
    await expect(page.get_by_text("new", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Put into force").click()
    await expect(page.get_by_role("status")).to_contain_text("revision 1")
    await expect(page.get_by_role("row", name="fast")).to_contain_text("shadows config")
    assert (await table.route("fast")).model_id == "beta-9"

    await page.get_by_role("link", name="Swap fast").click()
    await page.get_by_role("button", name="Add an endpoint").click()
    await fill_endpoint(page, 2, "alpha", "alpha-9")
    await review(page)
    await expect(page.get_by_role("region", name="What it would change")).to_contain_text("alpha-9")
    await page.get_by_role("button", name="Put into force").click()
    await expect(page.get_by_role("status")).to_contain_text("revision 2")
    [route] = table.list_dynamic_routes()
    assert route.endpoints == [RouteEndpoint("beta", "beta-9"), RouteEndpoint("alpha", "alpha-9")]

    await page.get_by_role("link", name="Revert fast").click()
    await page.get_by_role("button", name="Revert to config").click()
    await expect(page.get_by_role("row", name="fast")).to_contain_text("alpha-1")
    assert (await table.route("fast")).model_id == "alpha-1"


async def test_refused_route_can_be_mended_in_place(page: Page, table: DynamicRoutingTable) -> None:
    """A new route without a provider is refused at the form; with one added there, it is accepted."""
    await page.get_by_role("link", name="New route").first.click()
    await page.get_by_label("Model", exact=True).fill("a/b: <new>")
    await page.get_by_label("Model id of endpoint 1").fill("alpha-7")
    await review(page)
    await expect(page.get_by_role("alert")).to_contain_text("choose a provider")

    await page.get_by_label("Provider of endpoint 1").select_option("alpha")
    await review(page)
    await page.get_by_role("button", name="Put into force").click()
    await expect(page.get_by_role("row", name="a/b: <new>")).to_contain_text("alpha-7")

    await page.get_by_role("link", name="Remove a/b: <new>").click()
    await page.get_by_role("button", name="Remove the route").click()
    await expect(page.get_by_role("row", name="a/b: <new>")).to_have_count(0)
    assert table.revision == 2


async def test_the_second_of_two_sees_what_the_first_did(
    open_page: OpenPage, page: Page, table: DynamicRoutingTable
) -> None:
    """Who confirms after somebody else did is told so, sees the newer state, and can go on from there."""
    second = await open_page()
    for each, model_id in ((page, "first"), (second, "second")):
        await each.get_by_role("link", name="Swap fast").click()
        await fill_endpoint(each, 1, "beta", model_id)
        await review(each)
        await expect(each.get_by_role("region", name="What it would change")).to_contain_text(model_id)
    await page.get_by_role("button", name="Put into force").click()
    await expect(page.get_by_role("status")).to_contain_text("in force")

    await second.get_by_role("button", name="Put into force").click()
    await expect(second.get_by_role("alert")).to_contain_text("Somebody was faster")
    await expect(second.get_by_role("region", name="What it would change")).to_contain_text("first")
    assert (await table.route("fast")).model_id == "first"
    await second.get_by_role("button", name="Put into force").click()
    await expect(second.get_by_role("status")).to_contain_text("in force")
    assert (await table.route("fast")).model_id == "second"


# What JavaScript adds.


async def test_keys_search_swap_help_and_close(open_page: OpenPage, table: DynamicRoutingTable) -> None:
    """`/` searches while typing, `s` swaps the focused row's route, `?` helps, Esc closes."""
    table.add_route(DynamicRoute("slow", [RouteEndpoint("alpha", "a")]))
    page = await open_page()
    await page.keyboard.press("/")
    await page.keyboard.type("SPR")
    await expect(page.get_by_role("rowheader")).to_have_count(1)
    assert page.url.endswith("?q=SPR")

    await page.get_by_role("link", name="Swap spread").focus()
    await page.keyboard.press("s")
    await expect(page.get_by_role("dialog")).to_contain_text("Swap spread")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("link", name="Swap spread")).to_be_focused()

    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_endpoints_are_dragged_into_order(open_page: OpenPage, table: DynamicRoutingTable) -> None:
    """A row dragged by its grip takes its new place in the review at once."""
    page = await open_page()
    await page.get_by_role("link", name="Swap fast").click()
    grips = page.locator("[data-grip]")
    await grips.nth(1).drag_to(page.locator("[data-row]").nth(0), target_position={"x": 60, "y": 2})
    await expect(page.get_by_label("Provider of endpoint 1")).to_have_value("beta")
    await page.get_by_role("button", name="Put into force").click()
    await expect(page.get_by_role("status")).to_contain_text("in force")
    assert [each.provider for each in table.list_dynamic_routes()[0].endpoints] == ["beta", "alpha"]


# For everybody's eyes, and ears.

PAGES = {
    "routes": "/admin/",
    "nothing-found": "/admin/?q=nothing",
    "swap": "/admin/desk/swap?model=fast",
    "new-route": "/admin/desk/swap",
    "revert": "/admin/desk/revert?model=fast",
    "gone": "/admin/desk/revert?model=spread",
    "providers": "/admin/desk/providers",
    "drain": "/admin/desk/drain?provider=alpha",
    "history": "/admin/desk/history",
    "rollback": "/admin/desk/rollback?to=0",
    "requests": "/admin/desk/requests",
    "help": "/admin/desk/help",
    "error": "/admin/nothing-here",
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_pages_are_accessible(
    admin: AdminClient, open_page: OpenPage, table: DynamicRoutingTable, theme: str, width: int
) -> None:
    """Axe finds nothing on any page, nothing is wider than the window, and a screenshot is kept of each."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "beta-9", 3), RouteEndpoint("alpha", "x" * 80, 1)]))
    page = await open_page(color_scheme=theme, viewport={"width": width, "height": WIDTHS[width]})
    for name, path in PAGES.items():
        await page.goto(str(admin.make_url(path)))
        await look(page, f"{name}-{theme}-{width}")
    await page.goto(str(admin.make_url("/admin/")))
    await page.get_by_role("link", name="Swap fast").click()
    await page.get_by_role("button", name="Endpoint 2 up").click()
    await expect(page.get_by_role("button", name="Put into force")).to_be_visible()
    await look(page, f"swap-dialog-{theme}-{width}")
    await page.context.clear_cookies()
    await page.goto(str(admin.make_url("/admin/")))
    await page.get_by_label("Token").fill("wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await look(page, f"login-{theme}-{width}")
