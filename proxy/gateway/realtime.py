"""The WebSocket of `GET /v1/realtime?model=`: opened at the provider first, then relayed both ways.

Messages pass through whole and unread. Whichever side ends it, the other gets the same close code and reason.
"""

import asyncio
from typing import NamedTuple

from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType, hdrs, web

from proxy.config import Server
from proxy.errors import NotFoundError
from proxy.gateway.forwarder import spoken_protocol, time_limits
from proxy.routing import Resolution
from proxy.telemetry import Ending, Outcome
from proxy.upstream import Upstream, WebSocketRequest
from proxy.wire import Call, ModelPlace, request_headers

Socket = web.WebSocketResponse | ClientWebSocketResponse

# In a browser, where it can set no header, OpenAI's SDK hands over its key as a subprotocol.
_CREDENTIAL_SUBPROTOCOL = "openai-insecure-api-key."
_PING_EVERY_S = 30.0
# https://www.iana.org/assignments/websocket/websocket.xml
_BAD_GATEWAY = 1014


class Closing(NamedTuple):
    """How one side ended the conversation; without a code if it just vanished."""

    code: int | None
    reason: str


def is_websocket(request: web.Request) -> bool:
    """Whether the client asks for a WebSocket (RFC 6455 §4.1)."""
    return request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


def requested_model(call: Call) -> str:
    """The model that a WebSocket request names; raises `NotFoundError` if there is no WebSocket at its path."""
    if call.place is not ModelPlace.QUERY or call.model is None:
        raise NotFoundError("There is a WebSocket only at /v1/realtime?model=….")
    return call.model


async def relay_websocket(
    request: web.Request, call: Call, resolution: Resolution, upstream: Upstream, limits: Server, outcome: Outcome
) -> web.StreamResponse:
    """Connect the client with the resolution's target until either side closes.

    Raises `UpstreamError` if the provider doesn't open the WebSocket.
    """
    target = resolution.target
    provider = upstream.provider(target.provider_name)
    protocol = spoken_protocol(provider, call)
    outcome.target = f"{target.provider_name}:{target.model_id}"
    outcome.attempts = 1
    to_provider = await upstream.connect_websocket(
        provider,
        protocol,
        WebSocketRequest(
            url=call.url(protocol.base_url, target.model_id),
            headers=request_headers(request.raw_headers),
            own_headers=target.overrides.headers if target.overrides else (),
            subprotocols=_subprotocols(request),
            max_message_bytes=limits.max_body_bytes,
            ping_every_s=_PING_EVERY_S,
            timeouts=time_limits(provider, target),
        ),
    )
    outcome.head_arrived()
    to_client = web.WebSocketResponse(
        protocols=[to_provider.protocol] if to_provider.protocol else (),
        autoclose=False,
        heartbeat=_PING_EVERY_S,
        max_msg_size=limits.max_body_bytes,
    )
    closing = Closing(WSCloseCode.GOING_AWAY, "")
    try:
        await to_client.prepare(request)
        outcome.status = to_client.status
        closing = await _first_to_close(to_client, to_provider)
        outcome.ending = Ending.COMPLETE
    finally:
        await to_provider.close(code=closing.code or WSCloseCode.GOING_AWAY, message=closing.reason.encode())
    await to_client.close(code=closing.code or _BAD_GATEWAY, message=closing.reason.encode())
    return to_client


async def _first_to_close(to_client: web.WebSocketResponse, to_provider: ClientWebSocketResponse) -> Closing:
    """Relay both ways until one side ends it."""
    pumps = [asyncio.create_task(_pump(to_client, to_provider)), asyncio.create_task(_pump(to_provider, to_client))]
    try:
        done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: Socket, sink: Socket) -> Closing:
    """Pass on what `source` says, one message at a time, until it closes or `sink` can't be reached."""
    while True:
        message = await source.receive()
        try:
            match message.type:
                case WSMsgType.TEXT:
                    await sink.send_str(message.data)
                case WSMsgType.BINARY:
                    await sink.send_bytes(message.data)
                case WSMsgType.CLOSE:
                    # A close frame may come without a code (RFC 6455 §7.1.5), which can't be said again.
                    return Closing(message.data or WSCloseCode.OK, message.extra or "")
                case _:
                    return Closing(None, "")
        except ConnectionError:
            return Closing(None, "")


def _subprotocols(request: web.Request) -> tuple[str, ...]:
    offered = ",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())).split(",")
    names = (name.strip() for name in offered)
    return tuple(name for name in names if name and not name.startswith(_CREDENTIAL_SUBPROTOCOL))
