"""WebSockets to providers; aiohttp's client opens and frames them."""

import asyncio
import ssl

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.config.settings import ProtocolSettings, Provider
from proxy.errors import UpstreamError, UpstreamTimeoutError
from proxy.upstream.credentials import credential_headers, credential_url
from proxy.upstream.requests import WebSocketRequest


async def connect_websocket(
    session: aiohttp.ClientSession,
    provider: Provider,
    protocol: ProtocolSettings,
    request: WebSocketRequest,
    tls: ssl.SSLContext,
) -> aiohttp.ClientWebSocketResponse:
    """Open a WebSocket with the provider's own credential.

    Raises `UpstreamError` where it can't be opened; a refusal has the provider's status as `status`.
    """
    headers = CIMultiDict(request.headers)
    for name, secret in (*provider.headers, *request.own_headers):
        headers[name] = secret.reveal()
    headers.update(credential_headers(provider, protocol))
    try:
        async with asyncio.timeout(request.timeouts.first_byte_s):
            return await session.ws_connect(
                URL(credential_url(request.url, provider, protocol), encoded=True),
                headers=headers,
                protocols=request.subprotocols,
                autoclose=False,
                heartbeat=request.ping_every_s,
                max_msg_size=request.max_message_bytes,
                ssl=tls,
                proxy=provider.proxy.reveal() or None,
            )
    except TimeoutError as error:
        limit_s = request.timeouts.first_byte_s
        message = f"Provider `{provider.name}` did not open the WebSocket within {limit_s:g} s."
        raise UpstreamTimeoutError(message, provider=provider.name) from error
    except aiohttp.WSServerHandshakeError as error:
        message = f"Provider `{provider.name}` refused the WebSocket with status {error.status}."
        refused = UpstreamError(message, provider=provider.name)
        refused.status = error.status if error.status >= 400 else UpstreamError.status
        raise refused from error
    except (aiohttp.ClientError, OSError) as error:
        message = f"Provider `{provider.name}` could not be reached for the WebSocket ({type(error).__name__})."
        raise UpstreamError(message, provider=provider.name) from error
