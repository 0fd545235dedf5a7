"""A running admin plane for the command line to talk to, in a thread of its own since commands block."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.routing import ConfigRoutingTable, DynamicRoutingTable
from tests.admin.conftest import MODELS, PROVIDERS, admin_plane

TOKEN = "cli-token"

Run: TypeAlias = Callable[..., Result]


@pytest.fixture
def table() -> DynamicRoutingTable:
    """The table of the running proxy."""
    return DynamicRoutingTable(ConfigRoutingTable(PROVIDERS, MODELS))


@pytest.fixture
def admin_url(table: DynamicRoutingTable) -> Iterator[str]:
    """The address of an admin plane over `table`, guarded by `TOKEN`."""
    root = web.Application()
    root.add_subapp("/admin", admin_plane(table, TOKEN))
    with serving(root) as url:
        yield url


class serving:  # noqa: N801 - a context manager
    """Serve an application on a free port in a thread."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._started: queue.Queue[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),))

    def __enter__(self) -> str:
        self._thread.start()
        port, self._loop, self._stop = self._started.get(timeout=10)
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self) -> None:
        stop = asyncio.Event()
        runner = web.AppRunner(self._app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._started.put((site.port, asyncio.get_running_loop(), stop))
        await stop.wait()
        await runner.cleanup()


@pytest.fixture
def run(admin_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command whose environment leads to the running proxy."""
    monkeypatch.setenv("POINTSMAN_URL", admin_url)
    monkeypatch.setenv("POINTSMAN_ADMIN_TOKEN", TOKEN)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, prog_name="pointsman")

    return invoke
