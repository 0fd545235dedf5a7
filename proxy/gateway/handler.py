"""The data plane's way in: every request that is not the admin plane's comes through `Gateway.handle`."""

import asyncio

from aiohttp import hdrs, web

from proxy.config import Protocol, Server
from proxy.errors import MethodNotAllowedError, ProxyError, error_body
from proxy.gateway.body import read_request
from proxy.gateway.discovery import discover
from proxy.gateway.forwarder import Forwarder
from proxy.gateway.realtime import is_websocket, relay_websocket, requested_model
from proxy.routing import DynamicRoutingTable
from proxy.telemetry import Ending, Outcome
from proxy.upstream import Upstream
from proxy.wire import parse_call


class Gateway:
    """Answers data-plane requests.

    Args:
        table: where models lead.
        upstream: the connections to the providers.
        limits: the server's limits.

    Attributes:
        accepting: whether `/readyz` says that this process takes traffic.
    """

    def __init__(self, table: DynamicRoutingTable, upstream: Upstream, limits: Server) -> None:
        self._table = table
        self._forwarder = Forwarder(upstream, limits)
        self._upstream = upstream
        self._limits = limits
        self.accepting = True
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def until_idle(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; what fails foreseeably becomes an error in the client's own protocol."""
        if request.method in {hdrs.METH_GET, hdrs.METH_HEAD} and (health := self._health(request.path)) is not None:
            return health
        outcome = Outcome(request.remote or "-", request.method, request.rel_url.raw_path)
        protocol = _guess_protocol(request)
        self._in_flight += 1
        self._idle.clear()
        try:
            if request.method == hdrs.METH_POST:
                return await self._forward(request, outcome)
            if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
                raise MethodNotAllowedError(f"{request.method} names no model, so it can't be routed: use POST or GET.")
            if is_websocket(request):
                return await self._converse(request, outcome)
            return _own(discover(self._table, request.rel_url.raw_path, request.query), outcome)
        except ProxyError as error:
            outcome.error = error.message
            return _own(error_response(error, protocol, outcome.id), outcome)
        finally:
            outcome.write()
            self._in_flight -= 1
            if self._in_flight == 0:
                self._idle.set()

    async def _forward(self, request: web.Request, outcome: Outcome) -> web.StreamResponse:
        call = parse_call(request.rel_url.raw_path, request.rel_url.raw_query_string)
        body = await read_request(request, call, self._limits)
        try:
            outcome.model = body.model
            resolution = await self._table.resolve(body.model)
            return await self._forwarder.forward(request, call, body, resolution, outcome)
        finally:
            await body.close()

    async def _converse(self, request: web.Request, outcome: Outcome) -> web.StreamResponse:
        call = parse_call(request.rel_url.raw_path, request.rel_url.raw_query_string)
        outcome.model = requested_model(call)
        resolution = await self._table.resolve(outcome.model)
        return await relay_websocket(request, call, resolution, self._upstream, self._limits, outcome)

    def _health(self, path: str) -> web.Response | None:
        match path:
            case "/":
                return web.Response(text="Pointsman is here. POST /v1/…, GET /v1/models, GET /healthz.\n")
            case "/healthz":
                return web.Response(text="ok\n")
            case "/readyz":
                return web.Response(text="ready\n") if self.accepting else web.Response(status=503, text="stopping\n")
        return None


def error_response(error: ProxyError, protocol: Protocol | None, request_id: str) -> web.Response:
    """The answer that says what went wrong, in the shape of the client's protocol."""
    headers = {"x-request-id": request_id}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = "GET, HEAD, POST"
    return web.Response(
        status=error.status,
        body=error_body(error, protocol, request_id),
        content_type="application/json",
        headers=headers,
    )


def _own(response: web.Response, outcome: Outcome) -> web.Response:
    outcome.status = response.status
    outcome.ending = Ending.COMPLETE
    return response


def _guess_protocol(request: web.Request) -> Protocol:
    """The protocol in which to say that a request is wrong, told from what official clients send."""
    path = request.rel_url.raw_path
    if "anthropic-version" in request.headers or "/v1/messages" in path:
        return Protocol.ANTHROPIC
    if "/v1beta/" in path or ":" in path.partition("/models/")[2] or "x-goog-api-key" in request.headers:
        return Protocol.GEMINI
    return Protocol.OPENAI
