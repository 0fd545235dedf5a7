"""The only room that talks to providers.

What goes wrong on a connection ends here: callers see `UpstreamError` and `UpstreamTimeoutError`, whose messages hold
no URL (a key may be in it) and no header. A failure while reading the *client's* body is not the provider's and is
raised as it is.
"""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp

from proxy.config.settings import ProtocolSettings, Provider
from proxy.errors import Protocol, UpstreamError, UpstreamTimeoutError
from proxy.upstream.connection import BrokenError, Connection, SilenceError
from proxy.upstream.origin import Origin
from proxy.upstream.pool import Pool
from proxy.upstream.requests import ProviderRequest, WebSocketRequest
from proxy.upstream.websocket import connect_websocket


class Answer:
    """A provider's answer whose head is here and whose body is still coming.

    `close` must be called; it drops the connection unless the body was read to its end.
    """

    __slots__ = ("_connection", "_idle_s", "_pool", "_provider", "headers", "reason", "status")

    def __init__(self, connection: Connection, pool: Pool, provider: str, idle_s: float) -> None:
        self._connection = connection
        self._pool = pool
        self._provider = provider
        self._idle_s = idle_s
        self.status = connection.answer.status
        self.reason = connection.answer.reason
        self.headers = connection.answer.headers

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is here, to be had by one `read` that doesn't wait."""
        return self._connection.answer.is_complete

    async def read(self) -> bytes:
        """The next piece of the body as it came, b"" at its end.

        Raises `UpstreamError` if the provider broke off before the end that it had announced, and
        `UpstreamTimeoutError` if nothing came for the provider's idle time.
        """
        try:
            return await self._connection.read(self._idle_s)
        except BrokenError as error:
            raise _upstream_error(self._provider, error) from error

    def close(self) -> None:
        """Give the connection back if the body is complete, else drop it, so that the provider stops at once."""
        self._pool.release(self._connection)


class Upstream:
    """Connections to all providers; an async context manager that owns them.

    Args:
        providers: the configured providers by name.
    """

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        usual = ssl.create_default_context()
        self._tls = {
            name: ssl.create_default_context(cafile=provider.ca_bundle) if provider.ca_bundle else usual
            for name, provider in providers.items()
        }
        for context in self._tls.values():
            context.set_alpn_protocols(["http/1.1"])
        self._origins: dict[tuple[str, Protocol], Origin] = {}

    async def __aenter__(self) -> Self:
        for name, provider in self._providers.items():
            for protocol, settings in provider.protocols.items():
                self._origins[name, protocol] = Origin(provider, settings, self._tls[name])
        self._websockets = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for origin in self._origins.values():
            origin.pool.close()
        await self._websockets.close()

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
        payload, timeouts = request.payload, request.timeouts
        try:
            connection = await origin.pool.acquire(timeouts.connect_s)
            try:
                await connection.exchange(
                    origin.head(request), payload.data, chunked=payload.length is None, limit_s=timeouts.first_byte_s
                )
            except BaseException:
                origin.pool.drop(connection)
                raise
        except BrokenError as error:
            raise _upstream_error(provider.name, error) from error
        return Answer(connection, origin.pool, provider.name, timeouts.idle_s)

    async def connect_websocket(
        self, provider: Provider, protocol: ProtocolSettings, request: WebSocketRequest
    ) -> aiohttp.ClientWebSocketResponse:
        """See `websocket.connect_websocket`."""
        return await connect_websocket(self._websockets, provider, protocol, request, self._tls[provider.name])


def _upstream_error(provider: str, error: BrokenError) -> UpstreamError:
    kind = UpstreamTimeoutError if isinstance(error, SilenceError) else UpstreamError
    return kind(f"Provider `{provider}` {error.reason}.", provider=provider)
