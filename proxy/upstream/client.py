"""The only room that opens connections to providers.

What the HTTP library raises ends here: callers see `UpstreamError` and `UpstreamTimeoutError`, whose messages hold no
URL (a key may be in it) and no header. A failure while reading the *client's* body is not the provider's and is
raised as it is.
"""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from proxy.config.settings import ProtocolSettings, Provider, Secret, Timeouts
from proxy.errors import ProxyError, UpstreamError, UpstreamTimeoutError
from proxy.upstream.credentials import credential_headers, credential_url
from proxy.upstream.failures import describe_failure

RawHeaders = tuple[tuple[bytes, bytes], ...]

# Without a limit of its own the library would wait for a free connection once 100 streams are open.
_UNLIMITED = 0
# Below the idle time of every known provider's front end, so that they rarely close a connection we are about to use.
_KEEPALIVE_S = 15.0
_READ_BUFFER_BYTES = 64 * 1024
_ONE_PIECE_BYTES = 1024 * 1024
# The library would add these on its own; a client that didn't send them didn't mean them.
_NOTHING_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Payload:
    """A request body on its way to a provider.

    Args:
        data: the bytes, or a stream of them that is read once.
        length: bytes in `data`; None where a stream's length is not known beforehand.
    """

    __slots__ = ("data", "length")

    def __init__(self, data: bytes | AsyncIterator[bytes], length: int | None) -> None:
        self.data = data
        self.length = length


class ProviderRequest(msgspec.Struct, frozen=True):
    """What goes to a provider, save the provider's own headers and credential."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    own_headers: tuple[tuple[str, Secret], ...]
    """What the endpoint sets; wins over the provider's headers, as those win over the client's."""
    payload: Payload
    timeouts: Timeouts


class WebSocketRequest(msgspec.Struct, frozen=True):
    """A WebSocket to open at a provider, save the provider's own headers and credential."""

    url: str
    headers: list[tuple[str, str]]
    own_headers: tuple[tuple[str, Secret], ...]
    subprotocols: tuple[str, ...]
    max_message_bytes: int
    ping_every_s: float
    timeouts: Timeouts


class Answer:
    """A provider's answer whose head is here and whose body is still coming.

    `close` must be called; it drops the connection unless the body was read to its end.
    """

    __slots__ = ("_idle_s", "_provider", "_response", "headers", "reason", "status")

    def __init__(self, response: aiohttp.ClientResponse, provider: str, idle_s: float) -> None:
        self._response = response
        self._provider = provider
        self._idle_s = idle_s
        self.status = response.status
        self.reason = response.reason
        self.headers: RawHeaders = response.raw_headers

    async def read(self) -> bytes:
        """The next piece of the body as it came, b"" at its end.

        Raises `UpstreamError` if the provider broke off before the end that it had announced, and
        `UpstreamTimeoutError` if nothing came for the provider's idle time.
        """
        content = self._response.content
        try:
            # A time limit costs more than reading what is there already.
            if (ready := content.read_nowait()) or content.at_eof():
                return ready
            async with asyncio.timeout(self._idle_s):
                return await content.readany()
        except TimeoutError as error:
            message = f"Provider `{self._provider}` sent nothing for {self._idle_s:g} s in the middle of its answer."
            raise UpstreamTimeoutError(message, provider=self._provider) from error
        except (aiohttp.ClientError, OSError) as error:
            message = f"Provider `{self._provider}` broke off in the middle of its answer."
            raise UpstreamError(message, provider=self._provider) from error

    def close(self) -> None:
        """Give the connection back if the body is complete, else drop it, so that the provider stops at once."""
        self._response.close()


class Upstream:
    """Connections to all providers; an async context manager that owns them.

    Args:
        providers: the configured providers by name.
    """

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        self._tls = {
            name: ssl.create_default_context(cafile=provider.ca_bundle)
            for name, provider in providers.items()
            if provider.ca_bundle
        }

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_UNLIMITED, keepalive_timeout=_KEEPALIVE_S, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOTHING_ADDED,
            read_bufsize=_READ_BUFFER_BYTES,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    def provider(self, name: str) -> Provider:
        """The configured provider of that name; raises `UpstreamError` if there is none."""
        if (provider := self._providers.get(name)) is None:
            raise UpstreamError(f"The route leads to provider `{name}`, which is not configured.", provider=name)
        return provider

    async def send(self, provider: Provider, protocol: ProtocolSettings, request: ProviderRequest) -> Answer:
        """One attempt: send a request with the provider's own credential, wait for the head of the answer.

        Raises `UpstreamError` where the provider can't be reached or closes without an answer, and
        `UpstreamTimeoutError` where it takes longer than the request's time limits allow.
        """
        payload, timeouts = request.payload, request.timeouts
        loop = asyncio.get_running_loop()
        client_failures: list[ProxyError] = []
        try:
            async with asyncio.timeout(timeouts.first_byte_s) as first_byte:

                async def relayed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
                    try:
                        async for piece in pieces:
                            # The provider's time runs from the last piece that it was sent.
                            first_byte.reschedule(loop.time() + timeouts.first_byte_s)
                            yield piece
                    except ProxyError as error:
                        client_failures.append(error)
                        raise

                response = await self._session.request(
                    request.method,
                    URL(credential_url(request.url, provider, protocol), encoded=True),
                    headers=_merged_headers(provider, protocol, request, payload.length),
                    data=_piecemeal(payload.data) if isinstance(payload.data, bytes) else relayed(payload.data),
                    allow_redirects=False,
                    ssl=self._tls.get(provider.name, True),
                    proxy=provider.proxy.reveal() or None,
                    timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect_s),
                )
        except aiohttp.ConnectionTimeoutError as error:
            message = f"Provider `{provider.name}` could not be connected to within {timeouts.connect_s:g} s."
            raise UpstreamTimeoutError(message, provider=provider.name) from error
        except TimeoutError as error:
            message = f"Provider `{provider.name}` sent no answer within {timeouts.first_byte_s:g} s."
            raise UpstreamTimeoutError(message, provider=provider.name) from error
        except (aiohttp.ClientError, OSError) as error:
            if client_failures:
                raise client_failures[0] from None
            raise UpstreamError(describe_failure(provider.name, error), provider=provider.name) from error
        return Answer(response, provider.name, timeouts.idle_s)

    async def connect_websocket(
        self, provider: Provider, protocol: ProtocolSettings, request: WebSocketRequest
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket with the provider's own credential.

        Raises `UpstreamError` where it can't be opened; a refusal has the provider's status as `status`.
        """
        timeouts = request.timeouts
        try:
            async with asyncio.timeout(timeouts.first_byte_s):
                return await self._session.ws_connect(
                    URL(credential_url(request.url, provider, protocol), encoded=True),
                    headers=_merged_headers(provider, protocol, request, None),
                    protocols=request.subprotocols,
                    autoclose=False,
                    heartbeat=request.ping_every_s,
                    max_msg_size=request.max_message_bytes,
                    ssl=self._tls.get(provider.name, True),
                    proxy=provider.proxy.reveal() or None,
                )
        except TimeoutError as error:
            message = f"Provider `{provider.name}` did not open the WebSocket within {timeouts.first_byte_s:g} s."
            raise UpstreamTimeoutError(message, provider=provider.name) from error
        except aiohttp.WSServerHandshakeError as error:
            message = f"Provider `{provider.name}` refused the WebSocket with status {error.status}."
            refused = UpstreamError(message, provider=provider.name)
            refused.status = error.status if error.status >= 400 else UpstreamError.status
            raise refused from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(describe_failure(provider.name, error), provider=provider.name) from error


def _piecemeal(data: bytes) -> bytes | io.BytesIO:
    """The library sends bytes in one piece, and warns about large ones; a file it sends piece by piece."""
    return data if len(data) <= _ONE_PIECE_BYTES else io.BytesIO(data)


def _merged_headers(
    provider: Provider, protocol: ProtocolSettings, request: ProviderRequest | WebSocketRequest, length: int | None
) -> CIMultiDict[str]:
    """The client's headers with the provider's and the endpoint's set over them, and the credential over all."""
    merged = CIMultiDict(request.headers)
    for name, secret in (*provider.headers, *request.own_headers):
        merged[name] = secret.reveal()
    for name, value in credential_headers(provider, protocol):
        merged[name] = value
    if length is not None:
        merged["Content-Length"] = str(length)
    return merged
