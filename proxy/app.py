"""The composition root: builds the program out of its rooms, runs it, and stops it without losing a request."""

import asyncio
import logging
import signal
import sys
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from aiohttp import web

from proxy import __version__
from proxy.admin import Reloaded, add_live, add_shadows, build_admin, build_metrics
from proxy.config import Address, Current, Settings
from proxy.gateway import Application, Attempts, Discovery, Gateway, Handler, Listener
from proxy.memory import tune_memory
from proxy.reload import Load, Reloader
from proxy.routing import Change, ConfigRoutingTable, Drains, DynamicRoutingTable
from proxy.telemetry import Alarms, EventKind, Readings, Telemetry, Tracer, TracingError, logging_to_stderr
from proxy.upstream import Health, HealthChange, Preflight, Prober, Upstream

_ADMIN = "/admin"
_METRICS = "/metrics"


class StartError(Exception):
    """The proxy can't start safely as it is configured; the message says what to change."""


class Proxy:
    """The proxy as a whole: an async context manager that takes traffic while it is open.

    Args:
        settings: what the config file says.
        load: reads it again for a reload; None if it can't be.

    Attributes:
        table: the routing table in use.
        address: where the data plane listens (port 0 in the settings becomes the real port).
        admin_address: where the admin plane listens.

    Raises `StartError` if the settings don't allow a safe start. Entering it raises `OSError` if an address can't be
    had.
    """

    def __init__(self, settings: Settings, load: Load | None = None) -> None:
        self._current = Current(settings)
        self.address = settings.server.listen
        self.admin_address = settings.admin_address
        if not settings.is_admin_guarded:
            message = (
                f"the admin plane would listen on {self.admin_address}, beyond this machine, without a token: "
                "set admin.token, or put it on a loopback address with admin.listen"
            )
            raise StartError(message)
        self._upstream = Upstream(settings.providers)
        self._health = Health(self._tell_health)
        self._preflight = Preflight(self._upstream)
        drains = Drains(self._health)
        config_table = ConfigRoutingTable(settings.providers, settings.models, conditions=drains)
        self.table = DynamicRoutingTable(config_table, drains)
        self.table.subscribe(self._warm)
        self._reloader = Reloader(load, self._current, self.table, config_table, self._upstream, self._health)
        self._attempts = Attempts(self._upstream, self._health, Alarms(self._tell_alarm))
        readings = Readings(
            version=__version__,
            revision=lambda: self.table.revision,
            routed=self._routed,
            pools=self._upstream.pools,
            endpoints=self._health.endpoints,
            limits=self._upstream.limits,
            budgets=self._attempts.budgets_left,
        )
        self._tracer = _tracer(settings)
        self._telemetry = Telemetry(self._current, readings, self._tracer)
        self.table.subscribe(self._telemetry.changed)
        self._is_stopping = False
        self._stack = AsyncExitStack()
        self._listeners: list[Listener] = []
        self._grace: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        settings = self._current.settings
        async with AsyncExitStack() as stack:
            if self._tracer is not None:
                await stack.enter_async_context(self._tracer)
            await stack.enter_async_context(self._telemetry.feed)
            await stack.enter_async_context(self._upstream)
            await stack.enter_async_context(Prober(self._upstream, self._health))
            await stack.enter_async_context(self._attempts.shadows)
            app = Discovery(self.table, lambda: not self._is_stopping, self._telemetry).application()
            admin = build_admin(
                self.table,
                self._current,
                self.reload,
                self._telemetry.exposition,
                self._preflight,
                readings=self._health,
                traffic=self._telemetry.under_way,
                watching=self._telemetry.watch,
                ring=self._attempts.alarms.ring,
            )
            add_live(admin, self._telemetry)
            add_shadows(admin, self._attempts.shadows.figures)
            if settings.admin.listen is None:
                application = await self._run(stack, app, admin)
            else:
                application = await self._run(stack, app)
                desk = await self._run(stack, web.Application(), admin)
                self.admin_address = await self._listen(stack, settings.admin.listen, desk.handle)
            gateway = Gateway(
                self.table,
                self._attempts,
                self._current,
                application,
                self._telemetry,
            )
            self.address = await self._listen(stack, settings.server.listen, gateway.handle)
            if settings.admin.listen is None:
                self.admin_address = self.address
            self._reloading = asyncio.create_task(self._reloader.run())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop taking connections, let requests under way finish within the grace period, then close the rest."""
        self._is_stopping = True
        self._reloading.cancel()
        # Its streams would never end by themselves.
        self._telemetry.feed.close()
        try:
            async with asyncio.timeout(self._current.settings.server.shutdown_grace_s) as self._grace:
                await asyncio.gather(*(listener.drain() for listener in self._listeners))
        except TimeoutError:
            pass
        finally:
            await asyncio.gather(self._reloading, return_exceptions=True)
            await self._stack.aclose()

    def __str__(self) -> str:
        settings = self._current.settings
        return (
            f"Pointsman takes traffic at http://{self.address} (admin page: http://{self.admin_address}/admin/, "
            f"providers: {len(settings.providers)}, models: {len(settings.models)}, from {settings.source})"
        )

    async def reload(self) -> Reloaded:
        """Read the configuration anew and put it in force; raises `ConfigError` and changes nothing if it can't be."""
        return await self._reloader.reload()

    def reload_soon(self) -> None:
        """The same, without waiting for it; how it went stands in the log."""
        self._reloader.ask()

    def hurry(self) -> None:
        """End the grace period of a stop under way now."""
        if self._grace is not None:
            self._grace.reschedule(asyncio.get_running_loop().time())

    def _warm(self, change: Change) -> None:
        """Let no request wait for the handshakes of a provider that it was switched to."""
        routes = [edit.after for edit in change.routes if edit.after is not None]
        for provider in {endpoint.provider for route in routes for endpoint in route.endpoints}:
            self._upstream.warm(provider)

    def _tell_health(self, change: HealthChange) -> None:
        self._telemetry.feed.publish(EventKind.BREAKER, change._asdict())

    def _tell_alarm(self, subject: str, message: str) -> None:
        self._telemetry.feed.publish(EventKind.ALARM, {"subject": subject, "message": message})

    def _routed(self) -> list[tuple[str, str]]:
        """Every endpoint that a route leads to: provider and model id."""
        return [(each.provider, each.model_id) for view in self.table.describe_routes() for each in view.endpoints]

    async def _run(
        self, stack: AsyncExitStack, app: web.Application, admin: web.Application | None = None
    ) -> Application:
        if admin is not None:
            app.add_subapp(_ADMIN, admin)
            app.add_subapp(_METRICS, build_metrics(self._current, self._telemetry.exposition))
        prefix = "" if admin is None else _ADMIN
        return await stack.enter_async_context(Application(app, prefix, self._current))

    async def _listen(self, stack: AsyncExitStack, address: Address, handle: Handler) -> Address:
        listener = Listener(address, handle, self._current)
        self._listeners.append(await stack.enter_async_context(listener))
        return listener.address


def _tracer(settings: Settings) -> Tracer | None:
    if settings.tracing is None:
        return None
    try:
        return Tracer(settings.tracing, __version__)
    except TracingError as error:
        raise StartError(str(error)) from error


def serve(settings: Settings, log_level: int = logging.INFO, load: Load | None = None) -> int:
    """Run the proxy in the foreground until SIGTERM or SIGINT; a second one ends the grace period, SIGHUP reloads.

    Returns the exit status: 0 after a clean stop, 1 where an address could not be had, 2 for an unsafe configuration.
    """
    try:
        proxy = Proxy(settings, load)
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
        tune_memory()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, proxy.reload_soon)
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
