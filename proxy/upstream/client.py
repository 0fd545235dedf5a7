"""The only room that talks to providers.

What goes wrong on a connection ends here: callers see `UpstreamError` and `UpstreamTimeoutError`, whose messages hold
no URL (a key may be in it) and no header. A failure while reading the *client's* body is not the provider's and is
raised as it is.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from functools import lru_cache
from math import inf
from types import TracebackType
from typing import Final, Self

from proxy.config.settings import Concurrency, Provider, Timeouts
from proxy.errors import Failure, Protocol, UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from proxy.outbox import Outbox
from proxy.routing import RoutingTarget
from proxy.upstream.broken import BrokenError, Phase, SilenceError
from proxy.upstream.concurrency import ConcurrencyLimit
from proxy.upstream.connection import Connection
from proxy.upstream.origin import Origin, RequestTemplate
from proxy.upstream.pool import BusyError, Pool
from proxy.upstream.protocols import spoken_protocol
from proxy.upstream.requests import NOTHING, Payload, Sink
from proxy.upstream.tls import tls_context
from proxy.wire import Call, Head

_UNCONNECTED: Final = frozenset({Phase.CONNECT, Phase.TLS})
# Targets times kinds of requests that are in use at a time.
_KINDS: Final = 1024

_log: Final = logging.getLogger("pointsman.upstream")

TlsContexts = Mapping[str, ssl.SSLContext]
"""How each provider that is talked to over TLS is, by its name."""


class Answer:
    """A provider's answer whose head is here and whose body is still coming.

    `close` must be called; it drops the connection unless the body was read to its end.

    Args:
        connection: where it comes from.
        template: what it is an answer to.

    Attributes:
        message: its head, and what is here of its body and has not been taken.
    """

    def __init__(self, connection: Connection, template: RequestTemplate) -> None:
        self._connection = connection
        self._template = template
        self.message = connection.answer

    @property
    def timeouts(self) -> Timeouts:
        """The time limits that it is under."""
        return self._template.timeouts

    def pour(self, sink: Sink, idle_s: float, until: float = inf) -> None:
        """Pass on all of the body to `sink` as it comes, in the event loop's own callbacks, and its end.

        Another sink than before gets what is still to come.

        Args:
            sink: gets the pieces.
            idle_s: how long the provider may be silent.
            until: the time, by the event loop's clock, at which the answer must be complete.
        """
        self._connection.must_end(until)
        self._connection.pour(sink, idle_s)

    def pause(self) -> None:
        """Stop pouring: the sink can't keep up."""
        self._connection.pause()

    def resume(self) -> None:
        """Go on pouring."""
        self._connection.resume()

    def explain(self, error: BaseException) -> UpstreamError:
        """What a sink was closed with, in words for a client."""
        name = self._template.origin.provider.name
        if isinstance(error, BrokenError):
            return _upstream_error(name, error)
        return UpstreamError("could not be sent all of the request", provider=name)

    async def write(self, data: bytes) -> None:
        """Send bytes of the protocol that a 101 switched to, no faster than the provider takes them."""
        await self._connection.write(data)

    def close(self) -> None:
        """Give the connection back if the body is complete, else drop it, so that the provider stops at once."""
        self._template.origin.pool.release(self._connection)


class Upstream:
    """Connections to all providers; an async context manager that owns them.

    Args:
        providers: the configured providers by name.
    """

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers: Mapping[str, Provider] = {}
        self._former: Mapping[str, Provider] = {}
        self._usual_tls: ssl.SSLContext | None = None
        self._tls: TlsContexts = {}
        self._at_first = (providers, self.tls_for(providers))
        self._origins: dict[tuple[str, Protocol], Origin] = {}
        self._kept_template = lru_cache(maxsize=_KINDS)(self._make_template)
        # Only what the config names has one.
        self._limits: dict[tuple[str, Concurrency], ConcurrencyLimit] = {}
        self._warming: set[asyncio.Task[None]] = set()
        self._retired: set[Pool] = set()

    async def __aenter__(self) -> Self:
        self._outbox = Outbox(asyncio.get_running_loop())
        self.adopt(*self._at_first)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._warming:
            task.cancel()
        await asyncio.gather(*self._warming, return_exceptions=True)
        for pool in {origin.pool for origin in self._origins.values()} | self._retired:
            pool.close()

    def tls_for(self, providers: Mapping[str, Provider]) -> TlsContexts:
        """Make ready for `adopt`; reads files, so a running program calls it in a thread. Raises `OSError`."""
        return {name: self._tls_for(provider) for name, provider in providers.items() if provider.is_secure}

    def _tls_for(self, provider: Provider) -> ssl.SSLContext:
        if provider == self._providers.get(provider.name):
            return self._tls[provider.name]
        if provider.ca_bundle:
            return tls_context(provider.ca_bundle)
        # Reading the system's authorities takes as long as answering hundreds of requests.
        if self._usual_tls is None:
            self._usual_tls = tls_context(None)
        return self._usual_tls

    def adopt(self, providers: Mapping[str, Provider], tls: TlsContexts) -> None:
        """Talk to these providers from now on.

        One that stays as it is keeps its connections. Those of one that was changed or removed serve who has or waits
        for them, and no further request.

        Args:
            providers: the configured providers by name.
            tls: what `tls_for` gave for them.
        """
        kept = {name for name, provider in providers.items() if provider == self._providers.get(name)}
        self._retired = {pool for pool in self._retired if not pool.is_vacant}
        for (name, _), origin in self._origins.items():
            if name not in kept:
                origin.pool.retire()
                self._retired.add(origin.pool)
        # A request under way may still fall back on a provider that is gone.
        self._former = {name: each for name, each in self._providers.items() if name not in providers}
        former = {key: origin for key, origin in self._origins.items() if key[0] in self._former}
        self._origins = former | {
            (name, protocol): self._origins[name, protocol]
            if name in kept
            else Origin(provider, settings, tls[name] if provider.is_secure else None)
            for name, provider in providers.items()
            for protocol, settings in provider.protocols.items()
        }
        self._providers, self._tls = providers, tls
        # Those of former settings go once nobody is there; who is still wanted is made anew.
        self._limits = {key: limit for key, limit in self._limits.items() if limit.in_use}
        self._kept_template.cache_clear()

    def provider(self, name: str) -> Provider | None:
        """A provider as it is configured now; None if there is none by this name."""
        return self._providers.get(name)

    def warm(self, name: str) -> None:
        """Connect to a provider that is about to be asked, so that its first request needn't wait for handshakes."""
        for (provider, protocol), origin in self._origins.items():
            if provider == name:
                limit_s = self._providers[name].timeouts.connect_s
                task = asyncio.create_task(_warm(origin, name, protocol, limit_s))
                self._warming.add(task)
                task.add_done_callback(self._warming.discard)

    def pools(self) -> list[tuple[str, Protocol, Pool]]:
        """The connections of each provider in each of its protocols."""
        return [(name, protocol, origin.pool) for (name, protocol), origin in self._origins.items()]

    def limits(self) -> list[tuple[str, ConcurrencyLimit]]:
        """The places at each provider (by its name) and endpoint (`provider:model_id`) that has only so many."""
        return [(who, limit) for (who, _), limit in list(self._limits.items())]

    def template(self, target: RoutingTarget, call: Call) -> RequestTemplate:
        """How requests of this kind go to this target; made once and kept, while it is in use.

        Raises `UpstreamError` if there is no such provider, and `UnsupportedProtocolError` if it can't be asked so.
        """
        # A query may hold the client's credential, which is not for keeping.
        return self._make_template(target, call) if call.query else self._kept_template(target, call)

    def _make_template(self, target: RoutingTarget, call: Call) -> RequestTemplate:
        name = target.provider_name
        if (provider := self._providers.get(name) or self._former.get(name)) is None:
            raise UpstreamError("is not configured, but the route leads there", provider=name)
        protocol = spoken_protocol(provider, call)
        url = call.url(protocol.base_url, target.model_id)
        return self._origins[name, call.protocol].template(url, target.overrides, self._limits_of(target, provider))

    def _limits_of(self, target: RoutingTarget, provider: Provider) -> tuple[ConcurrencyLimit, ...]:
        """Where attempts at a target take a place: the endpoint's first, so that who waits there holds no other."""
        endpoint = target.overrides.concurrency if target.overrides is not None else None
        name = target.provider_name
        wanted = [(f"{name}:{target.model_id}", endpoint), (name, provider.concurrency)]
        return tuple(
            self._limits.setdefault((who, settings), ConcurrencyLimit(settings, who))
            for who, settings in wanted
            if settings is not None
        )

    async def send(
        self,
        template: RequestTemplate,
        head: bytes,
        payload: Payload,
        until: float = inf,
        fresh: bool = False,  # noqa: FBT001, FBT002 - positional, for it is called with each request
        *,
        may_switch: bool = False,
    ) -> Answer:
        """One attempt: send a request, wait for the head of the answer.

        Args:
            template: what `template` gave.
            head: the head that it made of the client's.
            payload: the body.
            until: the time, by the event loop's clock, at which the head of the answer must be here at the latest.
            fresh: whether to do it on a new connection.
            may_switch: whether it is a handshake: the WebSocket is open if the answer `has_switched`.

        Raises `UpstreamError` where the provider can't be reached or closes without an answer, and
        `UpstreamTimeoutError` where it takes longer than its time limits allow.
        """
        pool, timeouts = template.origin.pool, template.timeouts
        try:
            if fresh or (connection := pool.take()) is None:
                limit_s = min(timeouts.connect_s, until - asyncio.get_running_loop().time())
                connection = await pool.acquire(limit_s, fresh=fresh)
            connection.must_end(until)
            try:
                await connection.exchange(head, payload, self._outbox, timeouts.first_byte_s, may_switch)
                # Also where the head came together with what is wrong behind it: nothing has been passed on yet.
                if connection.error is not None:
                    raise connection.error
            except BaseException:
                pool.drop(connection)
                raise
        except BrokenError as error:
            raise _upstream_error(template.origin.provider.name, error) from error
        return Answer(connection, template)

    async def look_up(self, provider: str, call: Call, head: Head) -> Answer:
        """A GET, for the proxy itself; raises what `send` does."""
        if (origin := self._origins.get((provider, call.protocol))) is None:
            raise UpstreamError("is not configured", provider=provider)
        base_url = origin.provider.protocols[call.protocol].base_url
        template = origin.template(call.url(base_url, ""), None)
        return await self.send(template, template.lookup(head), NOTHING)


async def _warm(origin: Origin, provider: str, protocol: Protocol, limit_s: float) -> None:
    try:
        await origin.pool.warm(limit_s)
    except BrokenError as error:
        _log.warning("Provider `%s` (%s) has been given a route and %s", provider, protocol, error.reason)


def _upstream_error(provider: str, error: BrokenError) -> UpstreamError:
    match error:
        case BusyError():
            return UpstreamBusyError(error.reason, provider=provider, failure=Failure.BUSY)
        case SilenceError():
            failure = Failure.CONNECT if error.phase in _UNCONNECTED else Failure.TIMEOUT
            return UpstreamTimeoutError(error.reason, provider=provider, failure=failure)
        case _:
            failure = Failure.CONNECT if error.phase in _UNCONNECTED else Failure.BROKEN
            is_stale = error.reused and not error.received
            return UpstreamError(error.reason, provider=provider, failure=failure, is_stale=is_stale)
