"""A provider made of straw: a real HTTP server that speaks the providers' APIs and falls ill when told to."""

import asyncio
import random
from collections import deque
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from proxy.simulator import api
from proxy.simulator.delivery import before_head, deliver
from proxy.simulator.faults import Faults
from proxy.simulator.realtime import converse
from proxy.simulator.reply import RefusedError, Whole, read
from proxy.simulator.seen import Counters, SeenRequest

_REQUESTS_KEPT = 1000
_BODY_LIMIT_BYTES = 128 * 1024 * 1024
# How long `stop` lets requests under way go on.
_SHUTDOWN_S = 0.1


class StrawProvider:
    """One simulated provider; an async context manager.

    Args:
        name: what it calls itself in its answers.
        api_key: the key that requests must bring, in each protocol's own way; "": none.
        host: the IPv4 address or name to listen on; its faults are anybody's to switch who reaches it.
        port: the port to listen on; 0 takes a free one, the same at each later start.
        token_delay_s: the pause between the events of a stream.
        seed: makes what is left to chance repeatable.

    Attributes:
        faults: what is wrong with it; may be replaced at any time, also by `PUT /__straw/faults`.
        requests: the latest 1000 requests, oldest first.
        counters: how many requests there were.
        origin: `http://HOST:PORT`, once it has started.
        app: the application that answers.
    """

    def __init__(
        self,
        name: str,
        *,
        api_key: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        token_delay_s: float = 0.02,
        seed: int | None = None,
    ) -> None:
        self.name = name
        self.api_key = api_key
        self.faults = Faults()
        self.requests: deque[SeenRequest] = deque(maxlen=_REQUESTS_KEPT)
        self.counters = Counters()
        self.origin = ""
        self.app = web.Application(client_max_size=_BODY_LIMIT_BYTES)
        self.app.router.add_get("/__straw", self._tell)
        self.app.router.add_put("/__straw/faults", self._set_faults)
        self.app.router.add_post("/__straw/reset", self._start_over)
        self.app.router.add_route("*", "/{path:.*}", self._answer)
        self._host = host
        self._port = port
        self._token_delay_s = token_delay_s
        self._chance = random.Random(seed)  # noqa: S311 - nothing is kept secret with it
        self._arrival = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What to give to an OpenAI SDK; the Anthropic SDK wants `origin`."""
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
        # Whoever asks and leaves is noticed at once, as with a real provider's bill.
        runner = web.AppRunner(self.app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port)
        await site.start()
        self._runner, self._port = runner, site.port
        self.origin = f"http://{self._host}:{site.port}"

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def received(self, count: int) -> SeenRequest:
        """Wait until so many requests have arrived since the start or the latest reset; returns the latest."""
        while self.counters.received < count:
            await self._arrival.wait()
        return self.requests[-1]

    def reset(self) -> None:
        """Be well again, and forget all requests so far."""
        self.faults = Faults()
        self.requests.clear()
        self.counters = Counters()

    async def _tell(self, _: web.Request) -> web.Response:
        # No headers, bodies or queries: there are credentials in them.
        requests = [
            {
                "method": seen.method,
                "path": seen.path.partition("?")[0],
                "body_bytes": seen.body_bytes,
                "ended": seen.ended.is_set(),
                "completed": seen.completed,
            }
            for seen in self.requests
        ]
        state = {"name": self.name, "faults": self.faults, "counters": self.counters, "requests": requests}
        return web.Response(body=msgspec.json.encode(state), content_type="application/json")

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            self.faults = read(await request.read(), Faults)
        except RefusedError as refused:
            known = ", ".join(Faults.__struct_fields__)
            message = f"{refused.message}. The faults are: {known}. Nothing was changed."
            return web.json_response({"error": {"message": message}}, status=400)
        return await self._tell(request)

    async def _start_over(self, request: web.Request) -> web.Response:
        self.reset()
        return await self._tell(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        seen = SeenRequest(request.method, request.raw_path, request.raw_headers)
        self._record(seen)
        counters = self.counters
        try:
            response = await self._serve(request, seen, self.faults)
        except ConnectionResetError:
            return web.Response()  # to nobody: the connection is gone
        else:
            seen.completed = True
            return response
        finally:
            counters.completed += seen.completed
            counters.aborted += not seen.completed
            seen.ended.set()

    def _record(self, seen: SeenRequest) -> None:
        self.requests.append(seen)
        self.counters.received += 1
        arrival, self._arrival = self._arrival, asyncio.Event()
        arrival.set()

    async def _serve(self, request: web.Request, seen: SeenRequest, faults: Faults) -> web.StreamResponse:
        body = await request.read()
        seen.keep(body)
        await before_head(request, faults)
        try:
            api.check_key(request, self.api_key)
            self._refuse_by_fault(faults)
            if request.method == "GET" and request.path == "/v1/realtime":
                return await converse(request, self.name, faults)
            reply = api.answer(request, body, self.name)
        except RefusedError as refused:
            reply = _with_retry_after(api.error(request, refused.status, refused.message), faults)
        return await deliver(request, reply, faults, self._token_delay_s)

    def _refuse_by_fault(self, faults: Faults) -> None:
        if faults.rate_limited:
            raise RefusedError(429, "Rate limit reached")
        if self._chance.random() < faults.error_rate:
            raise RefusedError(faults.error_status, "The straw is on fire")


def _with_retry_after(refusal: Whole, faults: Faults) -> Whole:
    if not faults.rate_limited or refusal.status != 429 or faults.retry_after_s is None:
        return refusal
    return Whole(refusal.body, refusal.status, {**refusal.headers, "Retry-After": str(faults.retry_after_s)})
