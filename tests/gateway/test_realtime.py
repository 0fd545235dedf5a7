"""The realtime WebSocket goes both ways, with the provider's credential and either side's close code."""

import json

import aiohttp
import pytest

from proxy.app import Proxy
from proxy.simulator import StrawProvider
from tests.conftest import url


def realtime(proxy: Proxy, query: str = "model=fast") -> str:
    return url(proxy, f"/v1/realtime?{query}").replace("http://", "ws://")


async def test_messages_go_both_ways(proxy: Proxy, straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """Text and binary messages come back as they went, the model is renamed, the client's key replaced."""
    headers = {"Authorization": "Bearer client-key", "OpenAI-Beta": "realtime=v1"}
    async with http.ws_connect(realtime(proxy), headers=headers, protocols=("realtime",)) as socket:
        created = await socket.receive_json()
        await socket.send_str('{"type": "x",  "n": 1.0}')
        text = await socket.receive_str()
        await socket.send_bytes(b"\x00\xff" * 100_000)
        binary = await socket.receive_bytes()

    assert created["session"]["model"] == "straw-small"
    assert socket.protocol == "realtime"
    assert text == '{"type": "x",  "n": 1.0}'
    assert binary == b"\x00\xff" * 100_000
    seen = dict(straw.requests[-1].headers)
    assert seen["Authorization"] == "Bearer key-of-straw"
    assert seen["OpenAI-Beta"] == "realtime=v1"


async def test_the_key_in_a_subprotocol_stays_here(
    proxy: Proxy, straw: StrawProvider, http: aiohttp.ClientSession
) -> None:
    """A browser's key, which comes as a subprotocol, doesn't reach the provider; the other subprotocols do."""
    offered = ("realtime", "openai-insecure-api-key.sk-client")
    async with http.ws_connect(realtime(proxy), protocols=offered) as socket:
        await socket.receive()

    assert dict(straw.requests[-1].headers)["Sec-WebSocket-Protocol"] == "realtime"
    assert "sk-client" not in str(straw.requests[-1].headers)


async def test_close_codes_are_passed_on(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """The provider's close code and reason reach the client."""
    async with http.ws_connect(realtime(proxy)) as socket:
        await socket.receive()
        await socket.send_str(json.dumps({"type": "close", "code": 4001, "reason": "enough"}))
        closing = await socket.receive()

    assert (closing.type, closing.data, closing.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "enough")


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [("model=nope", 404, "`nope`"), ("", 400, "model"), ("model=", 400, "model")],
)
async def test_refused_before_the_handshake(
    query: str, status: int, word: str, proxy: Proxy, http: aiohttp.ClientSession
) -> None:
    """Without a model that leads somewhere the WebSocket is not opened."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with http.get(url(proxy, f"/v1/realtime?{query}"), headers=headers) as response:
        assert response.status == status
        assert word in (await response.json())["error"]["message"]


async def test_provider_that_refuses(proxy: Proxy, straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """A provider that refuses the handshake is told to the client, with its status."""
    straw.api_key = "another"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(realtime(proxy))

    assert refused.value.status == 401
