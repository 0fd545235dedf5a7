"""A running admin plane for the command line to talk to, in a thread of its own since commands block."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Self, TypeAlias

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from proxy.app import Proxy
from proxy.cli import main
from proxy.config import settings_from
from proxy.routing import ConfigRoutingTable, DynamicRoutingTable
from proxy.simulator import StrawProvider
from proxy.simulator.faults import Faults
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


class Whole:
    """A proxy as a whole in front of two straw providers, in a thread; a context manager.

    Attributes:
        url: where it listens.
        straws: its providers, `first` ahead of `second` on the route `m`.
    """

    def __init__(self, port: int = 0) -> None:
        self.straws = [StrawProvider(name, token_delay_s=0) for name in ("first", "second")]
        self._port = port
        self._started: queue.Queue[tuple[Proxy, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),))

    def __enter__(self) -> Self:
        self._thread.start()
        proxy, self._loop, self._stop = self._started.get(timeout=10)
        self.port = proxy.address.port
        self.url = f"http://{proxy.address}"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def break_first(self) -> None:
        """The first provider answers everything with an error."""
        self.straws[0].faults = Faults(error_rate=1.0)

    def ask(self, model: str = "m", times: int = 1) -> None:
        """Send requests one after the other."""

        async def ask() -> None:
            async with aiohttp.ClientSession() as http:
                for _ in range(times):
                    body = {"model": model, "messages": [{"role": "user", "content": "Where am I?"}]}
                    async with http.post(f"{self.url}/v1/chat/completions", json=body) as response:
                        await response.read()

        asyncio.run_coroutine_threadsafe(ask(), self._loop).result(30)

    async def _run(self) -> None:
        stop = asyncio.Event()
        first, second = self.straws
        async with first, second:
            sections = {
                "server": {"listen": f"127.0.0.1:{self._port}", "shutdown_grace_s": 1, "shutdown_idle_s": 0},
                "admin": {"token": TOKEN},
                "providers": {each.name: {"base_url": each.base_url} for each in self.straws},
                "models": {
                    "m": {"endpoints": [{"provider": each.name, "model_id": "straw-small"} for each in self.straws]}
                },
            }
            async with Proxy(settings_from(sections)) as proxy:
                self._started.put((proxy, asyncio.get_running_loop(), stop))
                await stop.wait()


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    """A whole proxy, to which the environment leads."""
    with Whole() as whole:
        monkeypatch.setenv("POINTSMAN_URL", whole.url)
        monkeypatch.setenv("POINTSMAN_ADMIN_TOKEN", TOKEN)
        yield whole


@pytest.fixture
def run(admin_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command whose environment leads to the running proxy."""
    monkeypatch.setenv("POINTSMAN_URL", admin_url)
    monkeypatch.setenv("POINTSMAN_ADMIN_TOKEN", TOKEN)

    return invoke


def invoke(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, arguments, prog_name="pointsman")
