"""The only room that talks to providers.

What goes wrong on a connection ends here: callers see `UpstreamError` and `UpstreamTimeoutError`, whose messages hold
no URL (a key may be in it) and no header. A failure while reading the *client's* body is not the provider's and is
raised as it is.
"""

import asyncio
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from proxy.config.settings import Provider
from proxy.errors import Protocol, UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from proxy.upstream.broken import BrokenError, SilenceError
from proxy.upstream.connection import Connection
from proxy.upstream.origin import Origin
from proxy.upstream.pool import BusyError
from proxy.upstream.requests import ProviderRequest, Sink
from proxy.upstream.tls import tls_context

_log = logging.getLogger("pointsman.upstream")


class Answer:
    """A provider's answer whose head is here and whose body is still coming.

    `close` must be called; it drops the connection unless the body was read to its end.

    Attributes:
        status, reason, head: what the body is preceded by.
        length: bytes of the body, where the provider announced them.
        has_switched: whether it is a 101, behind which the other protocol's bytes go both ways.
    """

    __slots__ = (
        "_connection",
        "_idle_s",
        "_origin",
        "_provider",
        "has_switched",
        "head",
        "length",
        "reason",
        "status",
    )

    def __init__(self, connection: Connection, origin: Origin, provider: str, idle_s: float) -> None:
        self._connection = connection
        self._origin = origin
        self._provider = provider
        self._idle_s = idle_s
        answer = connection.answer
        self.status, self.reason, self.head = answer.status, answer.reason, answer.head
        self.length, self.has_switched = answer.length, answer.has_switched

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is here, to be had by `take`."""
        return self._connection.answer.is_complete

    def take(self) -> bytes:
        """What is here of the body."""
        return self._connection.answer.take()

    async def read(self) -> bytes:
        """The next piece of the body as it came, b"" at its end.

        Raises `UpstreamError` if the provider broke off before the end that it had announced, and
        `UpstreamTimeoutError` if nothing came for the provider's idle time.
        """
        try:
            return await self._connection.read(self._idle_s)
        except BrokenError as error:
            raise self.explain(error) from error

    def pour(self, sink: Sink, idle_s: float | None = None) -> None:
        """Pass on all of the body to `sink` as it comes, in the event loop's own callbacks, and its end.

        Args:
            sink: gets the pieces.
            idle_s: how long the provider may be silent; without it, the provider's idle time.
        """
        self._connection.pour(sink, self._idle_s if idle_s is None else idle_s)

    def pause(self) -> None:
        """Stop pouring: the sink can't keep up."""
        self._connection.pause()

    def resume(self) -> None:
        """Go on pouring."""
        self._connection.resume()

    def explain(self, error: BaseException) -> UpstreamError:
        """What a sink was closed with, in words for a client."""
        if isinstance(error, BrokenError):
            return _upstream_error(self._provider, error)
        return UpstreamError(
            f"Provider `{self._provider}` could not be sent all of the request.", provider=self._provider
        )

    async def write(self, data: bytes) -> None:
        """Send bytes of the protocol that a 101 switched to, no faster than the provider takes them."""
        await self._connection.write(data)

    def close(self) -> None:
        """Give the connection back if the body is complete, else drop it, so that the provider stops at once."""
        self._origin.pool.release(self._connection)


class Upstream:
    """Connections to all providers; an async context manager that owns them.

    Args:
        providers: the configured providers by name.
    """

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        usual = tls_context(None)
        self._tls = {
            name: tls_context(provider.ca_bundle) if provider.ca_bundle else usual
            for name, provider in providers.items()
        }
        self._origins: dict[tuple[str, Protocol], Origin] = {}
        self._warming: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for name, provider in self._providers.items():
            for protocol, settings in provider.protocols.items():
                self._origins[name, protocol] = Origin(provider, settings, self._tls[name])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._warming:
            task.cancel()
        await asyncio.gather(*self._warming, return_exceptions=True)
        for origin in self._origins.values():
            origin.pool.close()

    def warm(self, name: str) -> None:
        """Connect to a provider that is about to be asked, so that its first request needn't wait for handshakes."""
        for (provider, protocol), origin in self._origins.items():
            if provider == name:
                limit_s = self._providers[name].timeouts.connect_s
                task = asyncio.create_task(_warm(origin, name, protocol, limit_s))
                self._warming.add(task)
                task.add_done_callback(self._warming.discard)

    def provider(self, name: str) -> Provider:
        """The configured provider of that name; raises `UpstreamError` if there is none."""
        if (provider := self._providers.get(name)) is None:
            raise UpstreamError(f"The route leads to provider `{name}`, which is not configured.", provider=name)
        return provider

    async def send(self, provider: Provider, protocol: Protocol, request: ProviderRequest) -> Answer:
        """One attempt: send a request with the provider's own credential, wait for the head of the answer.

        Raises `UpstreamError` where the provider can't be reached or closes without an answer, and
        `UpstreamTimeoutError` where it takes longer than the request's time limits allow.
        """
        origin = self._origins[provider.name, protocol]
        timeouts = request.timeouts
        try:
            connection = origin.pool.take() or await origin.pool.acquire(timeouts.connect_s)
            try:
                if (payload := request.payload) is None:
                    await connection.exchange(origin.head(request), (), limit_s=timeouts.first_byte_s, may_switch=True)
                else:
                    await connection.exchange(
                        origin.head(request),
                        payload.data,
                        limit_s=timeouts.first_byte_s,
                        chunked=payload.length is None,
                    )
            except BaseException:
                origin.pool.drop(connection)
                raise
        except BrokenError as error:
            raise _upstream_error(provider.name, error) from error
        return Answer(connection, origin, provider.name, timeouts.idle_s)


async def _warm(origin: Origin, provider: str, protocol: Protocol, limit_s: float) -> None:
    try:
        await origin.pool.warm(limit_s)
    except BrokenError as error:
        _log.warning("Provider `%s` (%s) has been given a route and %s", provider, protocol, error.reason)


def _upstream_error(provider: str, error: BrokenError) -> UpstreamError:
    if isinstance(error, BusyError):
        kind: type[UpstreamError] = UpstreamBusyError
    else:
        kind = UpstreamTimeoutError if isinstance(error, SilenceError) else UpstreamError
    return kind(f"Provider `{provider}` {error.reason}.", provider=provider)
