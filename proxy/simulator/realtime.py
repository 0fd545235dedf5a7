"""OpenAI's realtime WebSocket as straw speaks it: an echo that says first who it is.

https://platform.openai.com/docs/api-reference/realtime
"""

from typing import Annotated

import msgspec
from aiohttp import WSMsgType, web
from msgspec import Meta

from proxy.simulator.delivery import before_event
from proxy.simulator.faults import Faults
from proxy.simulator.reply import new_id

_SUBPROTOCOLS = ("realtime",)


class _Close(msgspec.Struct, tag_field="type", tag="close"):
    """The client's wish to be closed on; code and reason as RFC 6455 (7.4 and 5.5) allows them."""

    code: Annotated[int, Meta(ge=1000, le=4999)] = 1000
    reason: Annotated[str, Meta(pattern=r"^[ -~]{0,123}$")] = ""


async def converse(request: web.Request, provider: str, faults: Faults) -> web.WebSocketResponse:
    """`GET /v1/realtime?model=`: gives back what it gets; `{"type": "close", "code", "reason"}` makes it close so.

    A client that goes without closing cancels it.
    """
    socket = web.WebSocketResponse(protocols=_SUBPROTOCOLS)
    await socket.prepare(request)
    session = {"id": new_id("sess_"), "object": "realtime.session", "model": request.query.get("model"), "by": provider}
    created = {"type": "session.created", "event_id": new_id("event_"), "session": session}
    await before_event(request, faults, 0, 0)
    await socket.send_str(msgspec.json.encode(created).decode())
    number = 0
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            break
        if message.type is WSMsgType.TEXT and (wish := _wish_to_close(message.data)):
            await socket.close(code=wish.code, message=wish.reason.encode())
            break
        number += 1
        await before_event(request, faults, number, 0)
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


def _wish_to_close(text: str) -> _Close | None:
    try:
        return msgspec.json.decode(text, type=_Close)
    except (msgspec.DecodeError, RecursionError):
        return None
