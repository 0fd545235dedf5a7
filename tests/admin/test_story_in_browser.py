"""An incident from its first failed request to the all-clear, in a real browser, with JavaScript and without."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from proxy.app import Proxy
from proxy.simulator import StrawProvider
from proxy.simulator.faults import Faults
from tests.admin.browser import WIDTHS, chromium, complaints_of, log_in, look
from tests.conftest import MakeProxy, MakeStraw, provider_section, url

TOKEN = "night-shift"


class Scene(NamedTuple):
    """A proxy in front of two straw providers: `chat` goes to alpha, then beta, and `lone` to alpha alone."""

    proxy: Proxy
    alpha: StrawProvider
    beta: StrawProvider
    http: aiohttp.ClientSession

    async def ask(self, model: str = "chat") -> str:
        """Send a request; gives who answered, or the status."""
        body = {"model": model, "messages": [{"role": "user", "content": "<b>Hello</b>"}]}
        async with self.http.post(url(self.proxy, "/v1/chat/completions"), json=body) as response:
            await response.read()
            return response.headers.get("x-pointsman-provider", str(response.status))

    async def call(self, path: str, body: dict[str, object]) -> None:
        """Call the API, as somebody else does meanwhile."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.http.post(url(self.proxy, f"/admin/{path}"), json=body, headers=headers) as response:
            assert response.status == 200, await response.text()


@pytest.fixture
async def scene(make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession) -> Scene:
    """All is well."""
    alpha, beta = [await make_straw(name) for name in ("alpha", "beta")]
    endpoints = [{"provider": name, "model_id": "straw-large"} for name in ("alpha", "beta")]
    proxy = await make_proxy(
        admin={"token": TOKEN},
        providers={straw.name: provider_section(straw) for straw in (alpha, beta)},
        models={"chat": {"endpoints": endpoints}, "lone": {"endpoints": endpoints[:1]}},
    )
    return Scene(proxy, alpha, beta, http)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser."""
    async with chromium() as browser:
        yield browser


class Reader(NamedTuple):
    """Somebody who looks at the page; without JavaScript they load it again to see what is new."""

    page: Page
    has_script: bool

    async def sees(self, what: Locator, text: str) -> None:
        """Wait until it says so."""
        if self.has_script:
            return await expect(what).to_contain_text(text)
        for _ in range(100):
            if text in (await what.text_content() or ""):
                return None
            await self.page.reload()
        raise AssertionError(f"{text!r} never came")

    async def goes_to(self, name: str) -> None:
        """Follow a link of the bar."""
        await self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()

    async def presses(self, name: str) -> None:
        """Press a button."""
        await self.page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize("has_script", [True, False], ids=["with-script", "without-script"])
async def test_an_incident(scene: Scene, browser: Browser, *, has_script: bool) -> None:
    """A provider fails, the route is swapped, rolled back, the provider drained and restored; a swap expires."""
    page = await browser.new_page(java_script_enabled=has_script)
    complaints = complaints_of(page)
    reader = Reader(page, has_script)
    chat, status, standing = (
        page.get_by_role("row", name="chat"),
        page.locator("#notices"),
        page.get_by_role("region", name="State of things"),
    )
    await log_in(page, url(scene.proxy, "/admin/"), TOKEN)
    await expect(standing).to_contain_text("No route is swapped")

    # Alpha falls ill.
    scene.alpha.faults = Faults(error_rate=1)
    while "alpha:straw-large" not in await _out_of_service(scene):
        assert await scene.ask() == "beta"
    await reader.sees(chat, "out of service")
    await reader.sees(standing, "1 endpoint out of service")

    # It is swapped, after a trial that tells what the ill one says.
    await page.get_by_role("link", name="Swap chat").click()
    await page.get_by_label("Endpoint 2 up").click()
    await expect(page.get_by_role("region", name="What it would change")).to_contain_text("beta straw-large")
    await reader.presses("Try the endpoints first")
    await expect(page.locator(".trials")).to_contain_text("fails")
    await expect(page.locator(".trials")).to_contain_text("answers")
    await page.get_by_label("Reason").fill("alpha <b>burns</b>")
    if not has_script:
        await reader.presses("Review again")
    await page.get_by_role("button", name="Put into force").click()
    await expect(status).to_contain_text("The route is in force.")
    assert await scene.ask() == "beta"

    # The traffic moves, and says why.
    await reader.goes_to("Requests")
    await reader.sees(page.locator("#requests tbody tr").first, "the route's choice")

    # All is well again, and as it was.
    scene.alpha.faults = Faults()
    await reader.goes_to("History")
    await expect(page.locator("#history")).to_contain_text("alpha <b>burns</b>")
    await page.get_by_role("link", name="Back to before revision 1").click()
    await reader.presses("Go back to revision 0")
    await expect(status).to_contain_text("The earlier state is in force again.")
    assert await _routes(scene) == 0

    # Beta is taken out of service, and put back.
    await reader.goes_to("Providers")
    await page.get_by_role("link", name="Drain beta").click()
    await expect(page.get_by_role("row", name="chat")).to_contain_text("alpha:straw-large")
    await reader.presses("Drain beta")
    await expect(status).to_contain_text("The provider is drained")
    await expect(standing).to_contain_text("1 provider drained")
    await page.get_by_role("link", name="Restore beta").click()
    await reader.presses("Restore beta")
    await expect(status).to_contain_text("back in service")

    # A temporary route takes itself back.
    await scene.call(
        "routes",
        {"model": "chat", "endpoints": [{"provider": "beta", "model_id": "straw-small"}], "expires_in_s": 2},
    )
    await reader.goes_to("Routes")
    await reader.sees(chat, "ends in")
    await reader.sees(chat.locator(".badge"), "config")
    assert complaints == []


async def _out_of_service(scene: Scene) -> str:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with scene.http.get(url(scene.proxy, "/admin/status"), headers=headers) as response:
        return await response.text()


async def _routes(scene: Scene) -> int:
    return len(scene.proxy.table.list_dynamic_routes())


async def test_figures_are_live_and_stale_ones_look_stale(scene: Scene, browser: Browser) -> None:
    """Requests show within a moment; once nothing comes any more, the page says since when, and axe agrees."""
    page = await browser.new_page()
    await log_in(page, url(scene.proxy, "/admin/"), TOKEN)
    row = page.get_by_role("row", name="chat")
    line = row.locator(".spark polyline")
    await expect(line).not_to_have_attribute("points", "")
    places = "Array.from(document.querySelectorAll('tr[data-model] > *'), each => each.getBoundingClientRect().x)"
    before = await page.evaluate(places)
    for _ in range(40):
        await scene.ask()
    await expect(row.locator("[data-figure=p95]")).to_contain_text("ms")
    assert await page.evaluate(places) == before  # nothing jumps
    await expect(page.locator("#connection")).to_be_hidden()

    scene.proxy._telemetry.feed.close()
    await expect(page.get_by_role("status").filter(has_text="Disconnected.")).to_contain_text("s ago")
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        for width, height in WIDTHS.items():
            await page.set_viewport_size({"width": width, "height": height})
            await look(page, f"disconnected-{theme}-{width}")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_pages_under_way_are_accessible(scene: Scene, browser: Browser, theme: str, width: int) -> None:
    """With traffic, failures, a drain, a shift and a history, axe finds nothing either."""
    scene.alpha.faults = Faults(error_rate=1)
    for _ in range(30):
        await scene.ask()
        await scene.ask("lone")
    to_beta = [{"provider": "beta", "model_id": "straw-small"}]
    await scene.call("routes", {"model": "x" * 60, "endpoints": to_beta, "expires_in_s": 600, "reason": "y" * 200})
    await scene.call("providers/beta/drain", {"reason": "z" * 200})
    await scene.call("routes", {"model": "chat", "endpoints": to_beta, "shift": {"steps": [5, 100], "every_s": 600}})
    context = await browser.new_context(
        color_scheme="dark" if theme == "dark" else "light", viewport={"width": width, "height": WIDTHS[width]}
    )
    page = await context.new_page()
    await log_in(page, url(scene.proxy, "/admin/"), TOKEN)
    for name, path in {
        "desk": "",
        "desk-providers": "desk/providers",
        "desk-drain": "desk/drain?provider=alpha",
        "desk-restore": "desk/restore?provider=beta",
        "desk-history": "desk/history",
        "desk-rollback": "desk/rollback?to=0",
        "desk-requests": "desk/requests?failed=yes",
    }.items():
        await page.goto(url(scene.proxy, f"/admin/{path}"))
        await look(page, f"{name}-{theme}-{width}")
