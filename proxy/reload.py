"""Reloading: the configuration is read anew, checked whole, and put in force in one step, or nothing changes."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from proxy.admin import Reloaded
from proxy.config import ConfigError, Current, Fault, Settings, changes, in_force
from proxy.routing import Action, Cause, ConfigRoutingTable, DynamicRoutingTable
from proxy.upstream import Health, TlsContexts, Upstream

_log = logging.getLogger("pointsman.reload")

_ACTOR = "pointsman (reload)"

Load = Callable[[], Settings]
_Stamp = tuple[int, int, int] | None


class Reloader:
    """Reads the configuration again, on request or once its file has changed.

    Args:
        load: reads it; raises `ConfigError`. None where it can't be read again.
        current: the settings in force.
        table: gets the new config routes.
        config_table: the config routes at the start.
        upstream: gets the new providers.
        health: forgets how providers were that are others now.
    """

    def __init__(
        self,
        load: Load | None,
        current: Current,
        table: DynamicRoutingTable,
        config_table: ConfigRoutingTable,
        upstream: Upstream,
        health: Health,
    ) -> None:
        self._load = load
        self._current = current
        self._table = table
        self._config_table = config_table
        self._upstream = upstream
        self._health = health
        self._seen = _stamp(current.settings.source)
        # Whoever reads first is in force first.
        self._turn = asyncio.Lock()
        self._is_wanted = asyncio.Event()

    def ask(self) -> None:
        """Let `run` reload soon; once, however often it was asked meanwhile."""
        self._is_wanted.set()

    async def run(self) -> None:
        """Reload whenever asked to, and when the file has changed if `server.watch_config_s` is set; never ends."""
        while True:
            try:
                async with asyncio.timeout(self._current.settings.server.watch_config_s):
                    await self._is_wanted.wait()
            except TimeoutError:
                if await asyncio.to_thread(_stamp, self._current.settings.source) == self._seen:
                    continue
            self._is_wanted.clear()
            try:
                await self.reload()
            except ConfigError:
                pass  # its faults have been logged
            except Exception:  # noqa: BLE001 - a fault of ours must not end all later reloads
                _log.exception("The configuration was not reloaded, nothing has changed")

    async def reload(self) -> Reloaded:
        """Put in force what the configuration says now; raises `ConfigError` if it can't be, and changes nothing."""
        try:
            async with self._turn:
                reloaded = await self._reload()
        except ConfigError as error:
            _log.error("The configuration was not reloaded, nothing has changed. Faults: %d", len(error.faults))
            for fault in error.faults:
                _log.error("%s", fault)
            raise
        revision, providers, models = reloaded.revision, reloaded.providers, reloaded.models
        _log.info("Reloaded, revision %d. Providers: %s. Models: %s.", revision, providers, models)
        if reloaded.needs_restart:
            _log.warning("These take effect with a restart only: %s", ", ".join(reloaded.needs_restart))
        return reloaded

    async def _reload(self) -> Reloaded:
        old = self._current.settings
        # Looked at before it is read: what is written meanwhile is a change.
        self._seen = await asyncio.to_thread(_stamp, old.source)
        new, tls = await asyncio.to_thread(self._read)
        new, needs_restart = in_force(old, new)
        inner = ConfigRoutingTable(new.providers, new.models, self._config_table, self._table.drains)
        if faults := [*_unguarded(new), *_stranded(new, self._table, inner)]:
            raise ConfigError(faults)
        # Nothing awaits from here on: a request sees all of the old settings or all of the new ones.
        self._current.settings = new
        self._upstream.adopt(new.providers, tls)
        self._table.replace_inner(inner, Cause(Action.RELOAD, _ACTOR, at=time.time()))
        self._config_table = inner
        providers, models = changes(old.providers, new.providers), changes(old.models, new.models)
        for name in (*providers.changed, *providers.removed):
            self._health.forget(name)
        return Reloaded(self._table.revision, providers, models, needs_restart)

    def _read(self) -> tuple[Settings, TlsContexts]:
        """All that reads files, in a thread: the settings, and the authorities that the providers trust."""
        if self._load is None:
            source = self._current.settings.source
            raise ConfigError([Fault(source, None, "", "there is no file that could be read again")])
        settings = self._load()
        if faults := list(_unguarded(settings)):
            raise ConfigError(faults)
        try:
            return settings, self._upstream.tls_for(settings.providers)
        except OSError as error:
            fault = Fault(settings.source, None, "providers", f"a ca_bundle can't be used: {error.strerror}")
            raise ConfigError([fault]) from error


def _stamp(source: str) -> _Stamp:
    """What tells whether a file has changed; None if there is none."""
    try:
        status = Path(source).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _unguarded(settings: Settings) -> Iterator[Fault]:
    if not settings.is_admin_guarded:
        message = f"must be set while the admin plane is on {settings.admin_address}, beyond this machine"
        yield Fault(settings.source, None, "admin.token", message)


def _stranded(settings: Settings, table: DynamicRoutingTable, inner: ConfigRoutingTable) -> Iterator[Fault]:
    """The dynamic routes that would lead nowhere: those in force, and those that temporary ones stand in for."""
    for route in table.list_dynamic_routes():
        for provider in dict.fromkeys(route.providers()):
            if not inner.accepts_provider(provider):
                message = f"is missing, but the dynamic route of `{route.model}` leads there: remove that one first"
                yield Fault(settings.source, None, f"providers.{provider}", message)
