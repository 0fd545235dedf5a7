"""Sending a reply, with whatever faults there are: the one place where they bite."""

import asyncio
import socket
import struct

import msgspec
from aiohttp import web

from proxy.simulator.faults import Faults
from proxy.simulator.reply import Stream, Whole

# l_onoff, l_linger: closing sends RST instead of FIN (socket(7), SO_LINGER).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def before_head(request: web.Request, faults: Faults) -> None:
    """The faults that strike before an answer begins."""
    await asyncio.sleep(faults.latency_ms / 1000 + faults.first_byte_stall_s)
    if faults.reset_before_head:
        reset(request)


async def before_event(request: web.Request, faults: Faults, number: int, pace_s: float) -> None:
    """The faults that strike before the event of this number, from 0; `pace_s` is the pause if none does."""
    if number == faults.reset_mid_stream_after:
        reset(request)
    if number == faults.stall_mid_stream_after:
        # Until the client gives up, which cancels the handler.
        await asyncio.Event().wait()
    pause_s = pace_s if faults.drip_ms is None else faults.drip_ms / 1000
    if number and pause_s:
        await asyncio.sleep(pause_s)


async def deliver(request: web.Request, reply: Whole | Stream, faults: Faults, pace_s: float) -> web.StreamResponse:
    """Send a reply; `pace_s` is the pause between the events of a stream."""
    if isinstance(reply, Stream):
        return await _stream(request, reply, faults, pace_s)
    body = msgspec.json.encode(reply.body)
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_type = "application/json"
    response.content_length = len(body)
    await response.prepare(request)
    if faults.reset_mid_stream_after is not None and reply.status < 400:
        await response.write(body[: len(body) // 2])
        reset(request)
    await response.write(body)
    await response.write_eof()
    return response


async def _stream(request: web.Request, reply: Stream, faults: Faults, pace_s: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": reply.content_type, **reply.headers})
    await response.prepare(request)
    for number, event in enumerate(reply.events):
        await before_event(request, faults, number, pace_s)
        await response.write(event)
    await response.write_eof()
    return response


def reset(request: web.Request) -> None:
    """Cut the connection off, like a crash: what was sent arrives, then an RST. Raises `ConnectionResetError`."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    raise ConnectionResetError
