"""The composition root: builds the program out of its rooms, runs it, and stops it without losing a request."""

import asyncio
import logging
import signal
import sys
from types import TracebackType
from typing import Self

from aiohttp import hdrs, web
from aiohttp.http import SERVER_SOFTWARE

from proxy.admin import build_admin
from proxy.config import Address, Settings
from proxy.gateway import Gateway
from proxy.gateway.relay import HAS_NO_CONTENT_TYPE
from proxy.gateway.server import listen
from proxy.routing import ConfigRoutingTable, DynamicRoutingTable
from proxy.telemetry import logging_to_stderr
from proxy.upstream import Upstream

# For what is still running when the grace period is over.
_LAST_CALL_S = 1.0


class StartError(Exception):
    """The proxy can't start safely as it is configured; the message says what to change."""


class Proxy:
    """The proxy as a whole: an async context manager that takes traffic while it is open.

    Args:
        settings: what the config file says.

    Attributes:
        table: the routing table in use.
        address: where the data plane listens (port 0 in the settings becomes the real port).
        admin_address: where the admin plane listens.

    Raises `StartError` if the settings don't allow a safe start. Entering it raises `OSError` if an address can't be
    had.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.address = settings.server.listen
        self.admin_address = settings.admin_address
        if not settings.is_admin_guarded:
            message = (
                f"the admin plane would listen on {self.admin_address}, beyond this machine, without a token: "
                "set admin.token, or put it on a loopback address with admin.listen"
            )
            raise StartError(message)
        self.table = DynamicRoutingTable(ConfigRoutingTable(settings.providers, settings.models))
        self._upstream = Upstream(settings.providers)
        self._gateway = Gateway(self.table, self._upstream, settings.server)
        self._runners: list[web.AppRunner] = []
        self._listeners: list[asyncio.Server] = []
        self._grace: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        admin = build_admin(self.table, self._settings.providers, self._settings.admin.token)
        data_plane = web.Application()
        try:
            await self._upstream.__aenter__()
            if self._settings.admin.listen is None:
                data_plane.add_subapp("/admin", admin)
            else:
                admin_plane = web.Application()
                admin_plane.add_subapp("/admin", admin)
                self.admin_address = await self._start(admin_plane, self.admin_address)
            data_plane.router.add_route("*", "/{path:.*}", self._gateway.handle)
            self.address = await self._start(data_plane, self.address)
            if self._settings.admin.listen is None:
                self.admin_address = self.address
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop taking connections, let requests under way finish within the grace period, then close the rest."""
        self._gateway.accepting = False
        for listener in self._listeners:
            listener.close()
        try:
            async with asyncio.timeout(self._settings.server.shutdown_grace_s) as self._grace:
                await self._gateway.until_idle()
        except TimeoutError:
            pass
        finally:
            await self._close()

    def __str__(self) -> str:
        settings = self._settings
        return (
            f"Pointsman takes traffic at http://{self.address} (admin page: http://{self.admin_address}/admin/, "
            f"providers: {len(settings.providers)}, models: {len(settings.models)}, from {settings.source})"
        )

    def hurry(self) -> None:
        """End the grace period of a stop under way now."""
        if self._grace is not None:
            self._grace.reschedule(asyncio.get_running_loop().time())

    async def _start(self, app: web.Application, address: Address) -> Address:
        app.on_response_prepare.append(self._before_head)
        # A client that goes away cancels its handler, so that the provider stops at once as well.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_LAST_CALL_S)
        self._runners.append(runner)
        await runner.setup()
        listener = await listen(runner, address)
        self._listeners.append(listener)
        return Address(address.host, listener.sockets[0].getsockname()[1])

    async def _before_head(self, request: web.Request, response: web.StreamResponse) -> None:
        """Take back what aiohttp adds to a head by itself, and end connections once we are stopping."""
        if response.headers.get(hdrs.SERVER) == SERVER_SOFTWARE:
            del response.headers[hdrs.SERVER]
        if request.get(HAS_NO_CONTENT_TYPE):
            response.headers.popall(hdrs.CONTENT_TYPE, None)
        if not self._gateway.accepting and response.keep_alive:
            response.headers[hdrs.CONNECTION] = "close"
            response.force_close()

    async def _close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        await self._upstream.__aexit__(None, None, None)


def serve(settings: Settings, log_level: int = logging.INFO) -> int:
    """Run the proxy in the foreground until SIGTERM or SIGINT; a second signal ends the grace period.

    Returns the exit status: 0 after a clean stop, 1 where an address could not be had, 2 for an unsafe configuration.
    """
    try:
        proxy = Proxy(settings)
        with logging_to_stderr(log_level), asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(run_until_signal(proxy))
    except StartError as error:
        print(f"pointsman: {error}", file=sys.stderr)  # noqa: T201 - this is the program's own line
        return 2
    except OSError as error:
        print(f"pointsman: can't start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def run_until_signal(proxy: Proxy) -> None:
    """Take traffic until SIGTERM or SIGINT, saying in one line when it begins."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    async with proxy:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        print(proxy, flush=True)  # noqa: T201
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, proxy.hurry)


def event_loop() -> asyncio.AbstractEventLoop:
    """The event loop of uvloop where there is one, else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
