"""What is kept of a form, in a thread: nobody comes in between, however often whoever asked for it is cancelled."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from proxy.gateway.form import _Kept


@pytest.fixture
async def abandoned(monkeypatch: pytest.MonkeyPatch) -> tuple[_Kept, Callable[[], None]]:
    """What keeps a piece in a thread that goes on once it is let, while whoever asked for that has been cancelled."""
    begun, go_on = threading.Event(), threading.Event()
    append = _Kept._append

    def slowly(kept: _Kept, data: bytes) -> bytes:
        begun.set()
        go_on.wait(10)
        return append(kept, data)

    monkeypatch.setattr(_Kept, "_append", slowly)
    kept = _Kept()
    adding = asyncio.create_task(kept.add([b"sound"]))
    await asyncio.to_thread(begun.wait, 10)
    # An attempt's sender is cancelled as the attempt ends, and again as its connection does.
    for _ in range(2):
        adding.cancel()
        await asyncio.gather(adding, return_exceptions=True)
    monkeypatch.setattr(_Kept, "_append", append)
    return kept, go_on.set


async def test_it_is_not_closed_under_its_thread(abandoned: tuple[_Kept, Callable[[], None]]) -> None:
    """The thread finishes what it does; then it is closed."""
    kept, go_on = abandoned
    kept.close()
    working = kept._working
    assert working is not None
    assert not kept._file.closed

    go_on()
    await working
    await asyncio.sleep(0)

    assert kept.size == 5
    assert kept._file.closed


async def test_whoever_comes_next_waits_for_the_thread(abandoned: tuple[_Kept, Callable[[], None]]) -> None:
    """What was being kept as its sender was cancelled is there for the next one to read."""
    kept, go_on = abandoned
    more = asyncio.create_task(kept.add([b" and more"]))
    await asyncio.sleep(0)
    go_on()
    await more

    assert b"".join([piece async for piece in kept.pieces()]) == b"sound and more"
    kept.close()
