"""Everything that is not forwarded is answered by an aiohttp application: discovery, health, and the admin plane.

aiohttp never sees a client's connection. Each request for it gets one of its own, in memory, that ends with the answer;
so every connection can carry requests of both kinds, and both are under the same limits.
"""

import asyncio
import logging
from secrets import token_hex
from types import TracebackType
from typing import Self, cast

from aiohttp import hdrs, web
from aiohttp.http import SERVER_SOFTWARE

from proxy.config import Current
from proxy.errors import InvalidRequestError, ProxyError, error_body
from proxy.gateway.request import Request
from proxy.gateway.response import Response

_log = logging.getLogger("pointsman.server")

# For what is still running when everything else has ended.
_LAST_CALL_S = 1.0
# The parser before has its own limits; these are out of the way.
_FIELD_BYTES = 64 * 1024
_FIELDS = 256
# What aiohttp is told anew, for a connection that serves one request.
_SAID_ANEW = frozenset(
    {b"connection", b"content-length", b"expect", b"keep-alive", b"transfer-encoding", b"upgrade", b"http2-settings"}
)


class Application:
    """Answers requests with an aiohttp application; an async context manager that runs it.

    Args:
        app: the application.
        prefix: the path below which all is the application's, whatever the method; "" if there is none.
        current: the settings in force: how long a client may pause within its request.

    Attributes:
        prefix: the same.
    """

    def __init__(self, app: web.Application, prefix: str, current: Current) -> None:
        app.on_response_prepare.append(_before_head)
        # A client that goes away cancels its handler.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_LAST_CALL_S)
        self.prefix = prefix
        self._current = current

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def handle(self, request: Request, response: Response) -> None:
        """Answer one request. Raises a `ProxyError` if its body doesn't come as it should."""
        if (server := self._runner.server) is None:
            raise RuntimeError("the application is not running")
        handler = _ApplicationConnection(
            server,
            loop=asyncio.get_running_loop(),
            max_line_size=_FIELD_BYTES,
            max_field_size=_FIELD_BYTES,
            max_headers=_FIELDS,
            # The gateway's requests are decompressed within its own limit; the application's are small and plain.
            auto_decompress=False,
            # Each request's outcome is recorded by its handler. (None is documented for AppRunner, but not typed here.)
            access_log=None,  # type: ignore[arg-type]
        )
        transport = _Transport(request, response, handler)
        handler.connection_made(transport)
        try:
            handler.data_received(_head(request))
            while not transport.is_closing() and (
                piece := await request.read(self._current.settings.server.client_idle_s)
            ):
                await transport.readable.wait()
                handler.data_received(b"%x\r\n%b\r\n" % (len(piece), piece) if request.is_chunked else piece)
            if request.is_chunked:
                handler.data_received(b"0\r\n\r\n")
            await transport.closed.wait()
        except ProxyError as error:
            if not response.has_begun:
                response.error(error, None, f"req_{token_hex(12)}")
        finally:
            response.source = None
            handler.connection_lost(None)


class _ApplicationConnection(web.RequestHandler):
    """One request on aiohttp's side."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        """Answer a request that aiohttp doesn't take, or whose handler failed."""
        if status < 500:
            error: ProxyError = InvalidRequestError("The request is not valid HTTP/1.1.")
        else:
            # A fault of ours: the only place where a traceback is the right thing to log.
            _log.error("A request to %s failed in the proxy itself", ascii(request.path), exc_info=exc)
            error = ProxyError("The proxy failed to handle this request. The fault is logged there.")
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        request_id = f"req_{token_hex(12)}"
        answer = web.Response(
            status=error.status,
            body=error_body(error, None, request_id),
            content_type="application/json",
            headers={"x-request-id": request_id},
        )
        answer.force_close()
        return answer


class _Transport(asyncio.Transport):
    """What aiohttp takes for the connection to the client.

    Attributes:
        closed: set once aiohttp has closed it, which it does behind each answer.
        readable: cleared while aiohttp doesn't want to be sent anything.
    """

    def __init__(self, request: Request, response: Response, handler: web.RequestHandler) -> None:
        super().__init__()
        self._client = request.client
        self._response = response
        self._handler = handler
        self._is_paused = False
        self.closed = asyncio.Event()
        self.readable = asyncio.Event()
        self.readable.set()
        response.source = self

    def settle(self) -> bool:
        """Settle whether the client's own connection stays open behind the answer."""
        return self._response.settle()

    # The client's pace.

    def pause(self) -> None:
        """The client takes less than it is sent."""
        self._is_paused = True
        self._handler.pause_writing()

    def resume(self) -> None:
        """The client has caught up."""
        if self._is_paused:
            self._is_paused = False
            self._handler.resume_writing()

    # What aiohttp asks of a transport.

    def get_extra_info(self, name: str, default: object = None) -> object:
        """The address of the client; of nothing else is there a single truth."""
        return (self._client, 0) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a part of the answer."""
        if not self.closed.is_set():
            self._response.raw(bytes(data))

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed.is_set()

    def close(self) -> None:
        """Take the end of the answer; where its head said so, the client's connection stays open behind it."""
        if not self.closed.is_set():
            self.closed.set()
            self.readable.set()
            self._response.is_complete = self._response.has_begun

    def abort(self) -> None:
        """Break the answer off, and the client's connection with it."""
        self.closed.set()
        self.readable.set()
        self._response.abort()

    def pause_reading(self) -> None:
        """Hold back the rest of the body."""
        self.readable.clear()

    def resume_reading(self) -> None:
        """Go on with the body."""
        self.readable.set()


def _head(request: Request) -> bytes:
    """The head of a request that is the only one on its connection."""
    fields = [b"%b: %b\r\n" % (name, value) for plain, name, value in request.head.fields if plain not in _SAID_ANEW]
    if request.is_chunked:
        fields.append(b"Transfer-Encoding: chunked\r\n")
    elif request.content_length is not None:
        fields.append(b"Content-Length: %d\r\n" % request.content_length)
    target = f"{request.path}?{request.query}" if request.query else request.path
    first = f"{request.method} {target} HTTP/1.{int(request.is_1_1)}\r\n".encode("utf-8", "surrogateescape")
    return b"%b%bConnection: close\r\n\r\n" % (first, b"".join(fields))


async def _before_head(request: web.Request, response: web.StreamResponse) -> None:
    """Take back what aiohttp says of itself, and say of the client's connection what is true of that."""
    if response.headers.get(hdrs.SERVER) == SERVER_SOFTWARE:
        del response.headers[hdrs.SERVER]
    if cast("_Transport", request.transport).settle():
        response.headers.popall(hdrs.CONNECTION, None)
