"""What most tests need: a real proxy on a real socket, in front of providers made of straw."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager

import aiohttp
import pytest
from hypothesis import HealthCheck, settings

from proxy.app import Proxy
from proxy.config import settings_from
from proxy.simulator import StrawProvider

# The first look at all of Unicode takes a fresh checkout a second, and a busy machine is slow at anything.
settings.register_profile("pointsman", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pointsman")

MakeProxy = Callable[..., Awaitable[Proxy]]
MakeStraw = Callable[..., Awaitable[StrawProvider]]


@pytest.fixture
async def make_straw() -> AsyncIterator[MakeStraw]:
    """Start straw providers; they stop with the test."""
    async with AsyncExitStack() as stack:

        async def make(name: str = "straw", **options: object) -> StrawProvider:
            options = {"token_delay_s": 0.0, "api_key": f"key-of-{name}", **options}
            return await stack.enter_async_context(StrawProvider(name, **options))  # type: ignore[arg-type] # by name

        yield make


@pytest.fixture
async def make_proxy() -> AsyncIterator[MakeProxy]:
    """Start proxies from the sections of a config file; they stop with the test."""
    async with AsyncExitStack() as stack:

        async def make(**sections: Mapping[str, object]) -> Proxy:
            server = {
                "listen": "127.0.0.1:0",
                "shutdown_grace_s": 5,
                "shutdown_idle_s": 0,
                **sections.pop("server", {}),
            }
            return await stack.enter_async_context(Proxy(settings_from({"server": server, **sections})))

        yield make


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that adds nothing and undoes nothing."""
    async with aiohttp.ClientSession(
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield session


@pytest.fixture
async def straw(make_straw: MakeStraw) -> StrawProvider:
    """One straw provider."""
    return await make_straw()


@pytest.fixture
async def proxy(make_proxy: MakeProxy, straw: StrawProvider) -> Proxy:
    """A proxy that knows the straw provider in every protocol, with the route `fast` to its `straw-small`."""
    return await make_proxy(
        providers={"straw": provider_section(straw)},
        models={"fast": {"endpoints": [{"provider": "straw", "model_id": "straw-small"}]}},
    )


def provider_section(straw: StrawProvider) -> dict[str, object]:
    """A straw provider as it stands in a config file."""
    return {
        "protocols": {
            "openai": f"{straw.origin}/v1",
            "anthropic": f"{straw.origin}/v1",
            "gemini": f"{straw.origin}/v1beta",
        },
        "api_key": f"key-of-{straw.name}",
    }


def url(proxy: Proxy, path: str = "") -> str:
    """The address of something at the proxy's data plane."""
    return f"http://{proxy.address}{path}"


@contextmanager
def proxy_in_thread(sections: Callable[[StrawProvider], Mapping[str, object]]) -> Iterator[str]:
    """The origin of a proxy that runs in a thread of its own, for clients that block.

    Args:
        sections: of its config file, given the straw provider that stands behind it.
    """
    started: queue.Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def run() -> None:
        stop = asyncio.Event()
        async with StrawProvider("straw", api_key="key-of-straw", token_delay_s=0.0) as straw:
            settings = settings_from(sections(straw))
            async with Proxy(settings, load=lambda: settings) as proxy:
                started.put((url(proxy), asyncio.get_running_loop(), stop))
                await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    origin, loop, stop = started.get(timeout=10)
    try:
        yield origin
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def sync_proxy() -> Iterator[str]:
    """The origin of a proxy with the route `fast`, for clients that block."""
    with proxy_in_thread(
        lambda straw: {
            "server": {"listen": "127.0.0.1:0"},
            "providers": {"straw": provider_section(straw)},
            "models": {"fast": {"endpoints": [{"provider": "straw", "model_id": "straw-small"}]}},
        }
    ) as origin:
        yield origin
