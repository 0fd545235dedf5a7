"""What is kept of a form, in a thread: nobody comes in between, however often whoever asked for it is cancelled."""

import asyncio
import threading

import pytest

from proxy.gateway.body import _Kept


async def test_a_form_is_not_closed_under_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt's sender is cancelled as the attempt ends, and again as its connection does."""
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
    for _ in range(2):
        adding.cancel()
        await asyncio.gather(adding, return_exceptions=True)
    kept.close()
    assert not kept._file.closed
    working = kept._working
    assert working is not None
    go_on.set()

    await working

    assert kept.size == 5
    await asyncio.sleep(0)
    assert kept._file.closed


async def test_whoever_comes_next_waits_for_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was being kept as its sender was cancelled is there for the next one to read."""
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
    adding.cancel()
    await asyncio.gather(adding, return_exceptions=True)
    monkeypatch.setattr(_Kept, "_append", append)
    more = asyncio.create_task(kept.add([b" and more"]))
    await asyncio.sleep(0)
    go_on.set()
    await more

    assert b"".join([piece async for piece in kept.pieces()]) == b"sound and more"
    kept.close()
