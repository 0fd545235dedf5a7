"""From the head of a provider's answer to the end of the client's: each piece is passed on the moment it comes.

Once the head is out nothing can be taken back, so a provider that breaks off must look broken to the client as well:
a stream of events gets an error event that its SDK raises on, and every answer is cut rather than ended.
"""

import asyncio
from collections.abc import Awaitable

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from proxy.errors import ProxyError
from proxy.telemetry import Ending, Outcome
from proxy.upstream import Answer
from proxy.wire import Call, EventBoundary, error_event, response_headers

# The least that asyncio's transports and aiohttp's writer buffer before they make the sender wait.
_WITHOUT_WAITING_BYTES = 60 * 1024

HAS_NO_CONTENT_TYPE = web.RequestKey("has_no_content_type", bool)


class Relay:
    """Passes one answer on to one client.

    Args:
        request: the client's request.
        call: what it asked for.
        outcome: the request's record, filled in on the way.
        client_idle_s: how long the client may go without taking anything.
    """

    def __init__(self, request: web.Request, call: Call, outcome: Outcome, client_idle_s: float) -> None:
        self._request = request
        self._call = call
        self._outcome = outcome
        self._client_idle_s = client_idle_s

    async def run(self, answer: Answer, added: dict[str, str]) -> web.StreamResponse:
        """Relay `answer` with the `added` headers set over the provider's."""
        headers = _headers(answer, added)
        if "Content-Type" not in headers:
            self._request[HAS_NO_CONTENT_TYPE] = True
        self._outcome.status = answer.status
        try:
            if answer.is_whole:
                return await self._relay_whole(answer, headers)
            return await self._relay_stream(answer, headers)
        except (ConnectionError, TimeoutError):
            self._outcome.ending = Ending.CLIENT_GONE
            self._cut()
            # The server wants a response back, though nobody is there to get it.
            return web.Response()

    async def _relay_whole(self, answer: Answer, headers: CIMultiDict[str]) -> web.StreamResponse:
        """Relay an answer that is all here, in one write."""
        body = await answer.read()
        response = web.Response(status=answer.status, reason=answer.reason, headers=headers, body=body)
        await response.prepare(self._request)
        await self._send(response.write_eof(), len(body))
        self._outcome.body_bytes = len(body)
        self._outcome.ending = Ending.COMPLETE
        return response

    async def _relay_stream(self, answer: Answer, headers: CIMultiDict[str]) -> web.StreamResponse:
        """Relay an answer that is still coming."""
        # An error event can be understood only in a stream of plain events.
        events = headers.get("Content-Type", "").startswith("text/event-stream") and "Content-Encoding" not in headers
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        await response.prepare(self._request)
        await self._relay_body(answer, response, EventBoundary() if events else None)
        return response

    async def _relay_body(self, answer: Answer, response: web.StreamResponse, boundary: EventBoundary | None) -> None:
        while True:
            try:
                chunk = await answer.read()
            except ProxyError as error:
                await self._break_off(response, boundary, error)
                return
            if not chunk:
                await self._send(response.write_eof())
                break
            await self._send(response.write(chunk), len(chunk))
            if boundary is not None:
                boundary.feed(chunk)
            self._outcome.body_bytes += len(chunk)
        self._outcome.ending = Ending.COMPLETE

    async def _break_off(self, response: web.StreamResponse, boundary: EventBoundary | None, error: ProxyError) -> None:
        """Make the failure visible to the client: there is no status left to say it with."""
        self._outcome.ending = Ending.CUT
        self._outcome.error = error.message
        # In the middle of an event whatever is added would be taken for a part of it.
        if boundary is not None and boundary.at_boundary:
            event = error_event(error, self._call.protocol, self._call.operation, self._outcome.id)
            await self._send(response.write(event), len(event))
        self._cut()

    async def _send(self, writing: Awaitable[None], size: int = 0) -> None:
        """Write to the client; raises `TimeoutError` if it takes nothing for its idle time."""
        transport = self._request.transport
        # What the transport can take whole doesn't wait for the client, so it needs no time limit, which costs more.
        if transport is not None and transport.get_write_buffer_size() + size < _WITHOUT_WAITING_BYTES:
            await writing
            return
        async with asyncio.timeout(self._client_idle_s):
            await writing

    def _cut(self) -> None:
        """Close the connection without the end that the answer's framing asks for."""
        transport = self._request.transport
        if transport is None:
            return
        if self._request.version < HttpVersion11:
            # Without framing a plain close would look like the end of the answer; a reset doesn't.
            transport.abort()
        else:
            transport.close()


def _headers(answer: Answer, added: dict[str, str]) -> CIMultiDict[str]:
    headers = CIMultiDict(response_headers(answer.headers))
    if any(name.lower() == b"transfer-encoding" for name, _ in answer.headers):
        # RFC 9112 §6.3: Transfer-Encoding wins, and a Content-Length beside it must not be passed on.
        headers.popall("Content-Length", None)
    for name, value in added.items():
        headers[name] = value
    return headers
