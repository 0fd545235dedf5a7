"""The admin page in a real browser: add, replace, revert, under the page's own content security policy."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.routing import DynamicRoutingTable, RouteEndpoint
from tests.admin.conftest import AdminClient, StartAdmin

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip("needs Debian's Chromium (apt-get install chromium)", allow_module_level=True)

from playwright.async_api import Page, async_playwright, expect  # noqa: E402 - only with a browser

TOKEN = "browser-token"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def admin(start_admin: StartAdmin) -> AdminClient:
    """An admin plane with a token, with which the browser logs in."""
    return await start_admin(TOKEN)


@pytest.fixture
async def page(admin: AdminClient) -> AsyncIterator[Page]:
    """The admin page, open in a browser without JavaScript; a complaint in its console fails the test."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto(str(admin.make_url("/admin/")))
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Log in").click()
        yield page
        await browser.close()
    # The form that is refused on purpose is told of as well.
    assert [text for text in complaints if "status of 40" not in text] == []


async def fill_endpoint(page: Page, number: int, provider: str, model_id: str) -> None:
    await page.get_by_label(f"Provider of endpoint {number}").select_option(provider)
    await page.get_by_label(f"Model id of endpoint {number}").fill(model_id)


async def test_operator_swaps_a_route_and_reverts_it(page: Page, table: DynamicRoutingTable) -> None:
    """Swap a config route, add an endpoint to the dynamic one, then revert: each step is in force at once."""
    await page.get_by_role("link", name="Swap fast").click()
    await fill_endpoint(page, 1, "beta", "beta-9")
    await fill_endpoint(page, 2, "", "")
    await page.get_by_role("button", name="Put into force").click()
    await expect(page.get_by_role("status")).to_contain_text("revision 1")
    assert (await table.route("fast")).model_id == "beta-9"

    await page.get_by_role("link", name="Swap fast").click()
    await fill_endpoint(page, 2, "alpha", "alpha-9")
    await page.get_by_role("button", name="Put into force").click()
    await expect(page.get_by_role("status")).to_contain_text("revision 2")
    [route] = table.list_dynamic_routes()
    assert route.endpoints == [RouteEndpoint("beta", "beta-9"), RouteEndpoint("alpha", "alpha-9")]

    await page.get_by_role("button", name="Revert to config: fast").click()
    await expect(page.get_by_role("row", name="fast")).to_contain_text("alpha-1")
    assert (await table.route("fast")).model_id == "alpha-1"


async def test_refused_route_can_be_mended_in_place(page: Page, table: DynamicRoutingTable) -> None:
    """A new route without a provider is refused at the form; with one added there, it is accepted."""
    await page.get_by_label("Model", exact=True).fill("a/b: <new>")
    await page.get_by_label("Model id of endpoint 1").fill("alpha-7")
    await page.get_by_role("button", name="Put into force").click()
    await expect(page.get_by_role("alert")).to_contain_text("choose a provider")

    await page.get_by_label("Provider of endpoint 1").select_option("alpha")
    await page.get_by_role("button", name="Put into force").click()
    await expect(page.get_by_role("row", name="a/b: <new>")).to_contain_text("alpha-7")

    await page.get_by_role("button", name="Remove: a/b: <new>").click()
    await expect(page.get_by_role("row", name="a/b: <new>")).to_have_count(0)
    assert table.revision == 2
