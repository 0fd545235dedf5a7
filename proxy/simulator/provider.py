"""A provider made of straw: a real HTTP server that speaks the providers' APIs and falls ill when told to."""

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from proxy.simulator import anthropic, gemini, openai
from proxy.simulator.delivery import before_head, deliver
from proxy.simulator.faults import Faults
from proxy.simulator.realtime import converse
from proxy.simulator.reply import Json, RefusedError, Stream, Whole

_HOST = "127.0.0.1"
# What `GET /v1/models` tells; any other name is served as well.
_MODELS = ("straw-large", "straw-small", "straw-deep")
_REQUESTS_KEPT = 1000
_BODY_LIMIT_BYTES = 128 * 1024 * 1024


class SeenRequest:
    """A request as it arrived.

    Attributes:
        path: with its query.
        headers: in order, as they were spelled.
        body: its bytes.
        ended: set when the answer is complete or the client has gone.
        completed: whether the whole answer was sent.
    """

    def __init__(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = [(name.decode(), value.decode("utf-8", "replace")) for name, value in headers]
        self.body = body
        self.ended = asyncio.Event()
        self.completed = False


class StrawProvider:
    """One simulated provider; an async context manager.

    Args:
        name: what it calls itself in its answers.
        api_key: the key that requests must bring, in each protocol's own way; "": none.
        port: the loopback port to listen on; 0 takes a free one.
        token_delay_s: the pause between the events of a stream.
        seed: makes what is left to chance repeatable.

    Attributes:
        faults: what is wrong with it; may be replaced at any time, also by `PUT /__straw/faults`.
        requests: the latest requests.
    """

    def __init__(
        self,
        name: str,
        *,
        api_key: str = "",
        port: int = 0,
        token_delay_s: float = 0.02,
        seed: int | None = None,
    ) -> None:
        self.name = name
        self.api_key = api_key
        self.faults = Faults()
        self.requests: deque[SeenRequest] = deque(maxlen=_REQUESTS_KEPT)
        self.origin = ""
        self._port = port
        self._token_delay_s = token_delay_s
        self._chance = random.Random(seed)  # noqa: S311 - nothing is kept secret with it
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What to give to an OpenAI SDK."""
        return f"{self.origin}/v1"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; raises `OSError` if the address can't be had."""
        app = web.Application(client_max_size=_BODY_LIMIT_BYTES)
        app.router.add_get("/__straw", self._tell)
        app.router.add_put("/__straw/faults", self._set_faults)
        app.router.add_get("/v1/realtime", self._realtime)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # Whoever asks and leaves is noticed at once, as with a real provider's bill.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, self._port)
        await site.start()
        self.origin = f"http://{_HOST}:{site.port}"

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _tell(self, _: web.Request) -> web.Response:
        state = {"name": self.name, "faults": self.faults, "requests": len(self.requests)}
        return web.Response(body=msgspec.json.encode(state), content_type="application/json")

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            self.faults = msgspec.json.decode(await request.read(), type=Faults)
        except msgspec.MsgspecError as error:
            return web.json_response({"error": {"message": str(error)}}, status=400)
        return await self._tell(request)

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        if not self._is_known(request):
            return web.json_response({"error": {"message": "Incorrect API key provided"}}, status=401)
        self.requests.append(SeenRequest("GET", request.path_qs, request.raw_headers, b""))
        return await converse(request, self.name)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen = SeenRequest(request.method, request.raw_path, request.raw_headers, body)
        self.requests.append(seen)
        faults = self.faults
        try:
            await before_head(request, faults)
            response = await deliver(request, self._reply(request, body, faults), faults, self._token_delay_s)
        except ConnectionResetError:
            return web.Response()
        else:
            seen.completed = True
            return response
        finally:
            seen.ended.set()

    def _reply(self, request: web.Request, body: bytes, faults: Faults) -> Whole | Stream:
        try:
            if not self._is_known(request):
                raise RefusedError(401, "Incorrect API key provided")
            if faults.rate_limited:
                raise RefusedError(429, "Rate limit reached")
            if self._chance.random() < faults.error_rate:
                raise RefusedError(faults.error_status, "The straw is on fire")
            return self._ask(request, body)
        except RefusedError as refused:
            reply = _ERRORS[_protocol_of(request)](refused.status, refused.message)
            if refused.status == 429 and faults.retry_after_s is not None:
                reply.headers = {**reply.headers, "Retry-After": str(faults.retry_after_s)}
            return reply

    def _ask(self, request: web.Request, body: bytes) -> Whole | Stream:
        path = request.path
        if request.method == "GET" and path == "/v1/models":
            return openai.models(self.name, _MODELS)
        if request.method == "GET" and path.startswith("/v1/models/"):
            return openai.model(self.name, _MODELS, path.removeprefix("/v1/models/"))
        if request.method != "POST":
            raise RefusedError(405, f"Method {request.method} is not allowed")
        if path == "/v1/audio/transcriptions":
            return openai.transcription(body)
        asked = _object_in(body)
        if path.startswith("/v1beta/models/"):
            model, _, method = path.removeprefix("/v1beta/models/").rpartition(":")
            return gemini.generate(self.name, model, method, asked, sse=request.query.get("alt") == "sse")
        api = _APIS.get(path)
        if api is None:
            raise RefusedError(404, f"Unknown request URL: POST {path}")
        return api(self.name, asked)

    def _is_known(self, request: web.Request) -> bool:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        given = {
            "anthropic": (request.headers.get("x-api-key"), bearer),
            "gemini": (request.headers.get("x-goog-api-key"), request.query.get("key")),
            "openai": (bearer, request.headers.get("api-key")),
        }[_protocol_of(request)]
        return not self.api_key or self.api_key in given


_ERRORS = {"openai": openai.error, "anthropic": anthropic.error, "gemini": gemini.error}
_APIS = {
    "/v1/chat/completions": openai.chat_completions,
    "/v1/completions": openai.completions,
    "/v1/embeddings": openai.embeddings,
    "/v1/responses": openai.responses,
    "/v1/messages": anthropic.messages,
    "/v1/messages/count_tokens": anthropic.count,
}


def _protocol_of(request: web.Request) -> str:
    if request.path.startswith("/v1/messages"):
        return "anthropic"
    return "gemini" if request.path.startswith("/v1beta/") else "openai"


def _object_in(body: bytes) -> Json:
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise RefusedError(400, f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(value, dict):
        raise RefusedError(400, "The body must be a JSON object")
    return value
