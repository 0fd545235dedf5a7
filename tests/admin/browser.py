"""Debian's Chromium, for tests that look at pages as people do."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip("needs Debian's Chromium (apt-get install chromium)", allow_module_level=True)

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped] # noqa: E402 - only with a browser
from playwright.async_api import Browser, Page, async_playwright, expect  # noqa: E402 - likewise

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
WIDTHS = {1280: 800, 375: 760}
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser of its own."""
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        yield await stack.enter_async_context(await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS))


def complaints_of(page: Page) -> list[str]:
    """What the page's console and its scripts' errors will say."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


async def log_in(page: Page, admin: str, token: str) -> None:
    """Open the admin plane at an address, and give the token."""
    await page.goto(admin)
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Routes")).to_be_visible()


async def look(page: Page, name: str) -> None:
    """Keep a screenshot, and let axe look."""
    await page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png")
    found = await Axe().run(page)
    assert not found.violations_count, f"{name}: {found.generate_report()}"
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} is too wide"
