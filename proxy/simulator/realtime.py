"""OpenAI's realtime WebSocket as straw speaks it: an echo that says first who it is."""

import msgspec
from aiohttp import WSMsgType, web

from proxy.simulator.reply import new_id

_SUBPROTOCOLS = ("realtime",)


async def converse(request: web.Request, provider: str) -> web.WebSocketResponse:
    """`GET /v1/realtime?model=`: gives back what it gets; `{"type": "close", "code", "reason"}` makes it close so."""
    socket = web.WebSocketResponse(protocols=_SUBPROTOCOLS)
    await socket.prepare(request)
    session = {"id": new_id("sess_"), "object": "realtime.session", "model": request.query.get("model"), "by": provider}
    await socket.send_str(msgspec.json.encode({"type": "session.created", "session": session}).decode())
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
            continue
        if message.type is not WSMsgType.TEXT:
            break
        asked = _decoded(message.data)
        if asked.get("type") == "close":
            await socket.close(code=int(str(asked.get("code", 1000))), message=str(asked.get("reason", "")).encode())
            break
        await socket.send_str(message.data)
    return socket


def _decoded(text: str) -> dict[str, object]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}
