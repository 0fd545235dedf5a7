"""Straw's realtime WebSocket: an echo, which closes and falls ill as told."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest

from proxy.simulator import Faults, StrawProvider
from tests.simulator.wire import LIMIT_S

Socket = AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]


def realtime(straw: StrawProvider, http: aiohttp.ClientSession, *, key: str | None = None) -> Socket:
    headers = {"Authorization": f"Bearer {straw.api_key if key is None else key}"}
    return http.ws_connect(f"{straw.base_url}/realtime?model=m", headers=headers, protocols=("realtime",))


async def test_frames_come_back_as_they_came(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """First the session, which names the model; then text and binary messages unchanged."""
    async with realtime(straw, http) as socket:
        created = await socket.receive_json()
        await socket.send_str('{"type": "x",  "n": 1.0}')
        assert await socket.receive_str() == '{"type": "x",  "n": 1.0}'
        await socket.send_bytes(b"\x00\xff")
        assert await socket.receive_bytes() == b"\x00\xff"
    async with asyncio.timeout(LIMIT_S):
        await straw.requests[-1].ended.wait()

    assert (created["type"], created["session"]["model"]) == ("session.created", "m")
    assert socket.protocol == "realtime"
    assert straw.requests[-1].completed


async def test_it_closes_as_told(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """A wish to be closed on is granted with its code and reason; one that no close frame can hold is echoed."""
    async with realtime(straw, http) as socket:
        await socket.receive()
        await socket.send_str('{"type": "close", "code": 70000}')
        assert await socket.receive_str() == '{"type": "close", "code": 70000}'
        await socket.send_str(json.dumps({"type": "close", "code": 4001, "reason": "enough"}))
        closing = await socket.receive()

    assert (closing.type, closing.data, closing.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "enough")


async def test_who_leaves_without_a_word_is_noticed(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """A client whose connection is cut ends the request, which then isn't complete."""
    async with realtime(straw, http) as socket:
        await socket.receive()
        transport = socket.get_extra_info("socket")
        assert transport is not None
        transport.shutdown(2)
        async with asyncio.timeout(LIMIT_S):
            await straw.requests[-1].ended.wait()

    assert not straw.requests[-1].completed


@pytest.mark.parametrize(
    ("faults", "key", "status"),
    [
        (Faults(), "wrong", 401),
        (Faults(rate_limited=True), None, 429),
        (Faults(error_rate=1, error_status=503), None, 503),
    ],
)
async def test_it_may_refuse_the_handshake(
    faults: Faults, key: str | None, status: int, straw: StrawProvider, http: aiohttp.ClientSession
) -> None:
    """The faults that refuse a request refuse the handshake too."""
    straw.faults = faults
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with realtime(straw, http, key=key):
            pass

    assert refused.value.status == status


async def test_it_is_cut_mid_conversation(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """Each message counts as an event: after two of them the connection is reset without a close frame."""
    straw.faults = Faults(reset_mid_stream_after=2)
    async with realtime(straw, http) as socket:
        await socket.receive()
        await socket.send_str("one")
        assert await socket.receive_str() == "one"
        await socket.send_str("two")
        cut = await socket.receive(timeout=LIMIT_S)

    assert cut.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    assert socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    assert not straw.requests[-1].completed
