"""A straw provider for clients that block."""

import asyncio
import queue
import threading
from collections.abc import Iterator

import pytest

from proxy.simulator import StrawProvider


@pytest.fixture
def sync_straw() -> Iterator[StrawProvider]:
    """A straw provider that wants no key and runs in a thread of its own."""
    started: queue.Queue[tuple[StrawProvider, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def run() -> None:
        stop = asyncio.Event()
        async with StrawProvider("straw", token_delay_s=0) as straw:
            started.put((straw, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    straw, loop, stop = started.get(timeout=10)
    yield straw
    loop.call_soon_threadsafe(stop.set)
    thread.join()
