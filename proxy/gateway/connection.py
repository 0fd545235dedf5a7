"""One client's connection: requests in, one after the other, and an answer to each.

aiohttp's server would do this for us, but takes as much time for a fixed answer as forwarding a request does here; it
answers everything that is not forwarded, behind `application.py`.

A connection has one task, from its first request on, which answers one request after the other, and is cancelled if the
client goes away: then the provider is stopped as well. What a client asks meanwhile waits in the parser, and reading
pauses.
"""

import asyncio
import logging
from secrets import token_hex
from typing import Final, cast

from proxy.deadline import Deadline
from proxy.errors import InvalidRequestError, ProxyError
from proxy.gateway.connections import Connections
from proxy.gateway.parser import RequestParser
from proxy.gateway.request import Request
from proxy.gateway.response import Response
from proxy.gateway.rest_of_body import RestOfBody
from proxy.wire import Head

_log: Final = logging.getLogger("pointsman.server")

# How long an unread request body is read on after an early answer, so that the client gets to see the answer.
_LINGER_S: Final = 10.0


class ClientConnection(asyncio.Protocol):
    """A connection from one client."""

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._loop, self._silent)
        self._stall = Deadline(self._loop, self._stalled)
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._rejection: InvalidRequestError | None = None
        self._is_paused = False
        self._is_lingering = False
        self._unsent = 0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._parser = RequestParser(self, peer[0] if isinstance(peer, tuple) else "-")
        self._all.open.add(self)
        self._deadline.set(self._all.rest_s)

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._rejection is not None or self._is_lingering:
            return
        try:
            self._parser.feed(data)
        except InvalidRequestError as error:
            self._reject(error)
            self._wake()
            return
        if self._parser.requests:
            self._wake()

    def _wake(self) -> None:
        """There is a request to answer, or a reason why there will be none."""
        if self._task is None:
            self._task = self._loop.create_task(self._serve())
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        elif self._parser.requests:
            # The client doesn't wait for its answer before it asks again.
            self.pause_body()

    def connection_lost(self, _: Exception | None) -> None:
        """End: nobody is there to be answered."""
        self._transport = None
        self._all.forget(self)
        self._deadline.clear()
        self._stall.clear()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        if self._response is not None and self._response.source is not None:
            self._response.source.pause()
        self._unsent = 0
        self._stall.set(self._all.client_idle_s)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stall.clear()
        if self._response is not None and self._response.source is not None:
            self._response.source.resume()

    # What the requests ask for.

    def pause_body(self) -> None:
        """Take nothing more from the client."""
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_body(self) -> None:
        """Take what the client sends."""
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def gather(self, body: bytearray, request: Request) -> None:
        """Put the rest of a request's body behind its beginning, up to the end."""
        if self._transport is not None:
            self._transport.set_protocol(RestOfBody(self._transport, self, self._parser, request, body))

    def invite_body(self) -> None:
        """Tell the client that its body is wanted."""
        if self._transport is not None:
            self._all.outbox.write(self._transport, b"HTTP/1.1 100 Continue\r\n\r\n")

    # What the listener asks for.

    def stop(self) -> None:
        """End the connection with its next answer, or if it rests for too long."""
        if self._response is not None:
            self._response.is_last = True
        elif not self._is_lingering:
            self._deadline.set(self._all.rest_s)

    def abort(self) -> asyncio.Task[None] | None:
        """End the connection now; gives the task to wait for, if a request is under way."""
        if self._transport is not None:
            self._transport.abort()
        if self._task is not None:
            self._task.cancel()
        return self._task

    # One request after the other.

    async def _serve(self) -> None:
        """Answer requests as long as there can be a further one."""
        handle, requests = self._all.handle, self._parser.requests
        while True:
            while not requests:
                if self._rejection is not None:
                    self._answer_rejection(self._rejection)
                    return
                await self._arrival()
            request = requests.popleft()
            if self._is_paused and not requests:
                # It may have paused because the request was here before the task: only who reads sees the client leave.
                self.resume_body()
            if (transport := self._transport) is None:
                return
            self._response = response = Response(transport, self._all.outbox, request, is_last=self._all.is_stopping)
            try:
                await handle(request, response)
            except Exception:  # noqa: BLE001 - a fault of ours: the only place where a traceback is right
                _log.exception("A request to %s failed in the proxy itself", ascii(request.path[:200]))
                if not response.has_begun:
                    message = "The proxy failed to handle this request. The fault is logged there."
                    response.error(ProxyError(message), None, f"req_{token_hex(12)}")
            finally:
                self._response = None
            if not (response.is_complete and response.stays_open):
                self._finish(request, response)
                return

    def _arrival(self) -> asyncio.Future[None]:
        """What is done once there is something to look at: a request, or a reason why there will be none."""
        self._deadline.set(self._all.rest_s)
        if self._is_paused:
            self.resume_body()
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _finish(self, request: Request, response: Response) -> None:
        """End the connection as it has to be ended."""
        if self._transport is None:
            return
        self._all.outbox.flush()
        if not response.is_complete:
            response.cut()
        elif request.is_complete and not self._parser.requests and self._rejection is None:
            self._transport.close()
        else:
            self._linger()
        self._limit_rest()

    def _reject(self, error: InvalidRequestError) -> None:
        """Take nothing more: what comes can't be told apart any longer."""
        self._rejection = error
        if (broken := self._parser.incoming) is not None:
            # What is wrong is the body of a request, which is answered with that.
            broken.fail(error)

    def _answer_rejection(self, error: InvalidRequestError) -> None:
        if self._transport is not None:
            _log.info("A client sent a request that can't be parsed: %s", error.message)
            request = Request(self, "-", "POST", "/", "", Head.of(()))
            Response(self._transport, self._all.outbox, request).error(error, None, f"req_{token_hex(12)}")
            self._linger()

    def _linger(self) -> None:
        """Close, but not before the client has had time to see the answer instead of a reset (RFC 9112 §9.6)."""
        if self._transport is not None:
            self._all.outbox.flush()
            self._is_lingering = True
            self.resume_body()
            self._deadline.set(_LINGER_S)
            if self._transport.can_write_eof():
                self._transport.write_eof()

    def _silent(self) -> None:
        """Nothing has come for too long, or what was left to be read came for too long."""
        if self._transport is not None and self._response is None:
            self._transport.close()
            self._limit_rest()

    def _limit_rest(self) -> None:
        """Give up a connection that was closed, if the client doesn't take what is left to be sent."""
        if self._transport is not None and (unsent := self._transport.get_write_buffer_size()):
            self._unsent = unsent
            self._stall.set(self._all.client_idle_s)

    def _stalled(self) -> None:
        """The client hasn't taken all that it was sent; give it up unless it takes a part of it meanwhile."""
        if self._transport is None:
            return
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent = unsent
            self._stall.set(self._all.client_idle_s)
        else:
            self._transport.abort()
