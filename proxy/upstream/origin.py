"""How one provider is asked in one protocol: everything that can be made ready once, before any request."""

import ssl
from urllib.parse import urlsplit

from proxy.config.settings import ProtocolSettings, Provider
from proxy.upstream.credentials import credential_headers, credential_url
from proxy.upstream.dial import Dialer, OutgoingProxy
from proxy.upstream.pool import Pool
from proxy.upstream.requests import ProviderRequest

_PORTS = {"http": 80, "https": 443}


class Origin:
    """A provider's address in one protocol, with its connections.

    Args:
        provider: whose address it is.
        protocol: how it is asked.
        tls: the provider's TLS settings, used if the address is an https one.
    """

    def __init__(self, provider: Provider, protocol: ProtocolSettings, tls: ssl.SSLContext) -> None:
        self._provider, self._protocol = provider, protocol
        parts = urlsplit(protocol.base_url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        proxy = OutgoingProxy.of_url(provider.proxy.reveal()) if provider.proxy else None
        is_tls = parts.scheme == "https"
        self.pool = Pool(Dialer(host, port, tls if is_tls else None, proxy))
        # A plain request by way of a proxy names the whole URL (RFC 9112 §3.2.2).
        self._cut = 0 if proxy is not None and not is_tls else len(f"{parts.scheme}://{parts.netloc}")
        own = [(name, secret.reveal()) for name, secret in provider.headers]
        if proxy is not None and not is_tls and proxy.authorization:
            own.append(("Proxy-Authorization", proxy.authorization))
        own += credential_headers(provider, protocol)
        self._own_names = frozenset(name.lower() for name, _ in own)
        self._own_lines = "".join(f"{name}: {value}\r\n" for name, value in own)
        self._host_line = f"Host: {parts.netloc}\r\n"

    def head(self, request: ProviderRequest) -> bytes:
        """The head of the request, with the provider's headers and credential over the client's."""
        target = credential_url(request.url, self._provider, self._protocol)[self._cut :]
        endpoint_lines, replaced = "", self._own_names
        own_lines = self._own_lines
        if request.own_headers:
            lines = {name.lower(): f"{name}: {secret.reveal()}\r\n" for name, secret in request.own_headers}
            own_lines = "".join(
                line for line in own_lines.splitlines(keepends=True) if line.partition(":")[0].lower() not in lines
            )
            endpoint_lines, replaced = "".join(lines.values()), replaced | lines.keys()
        client_lines = "".join(
            [f"{name}: {value}\r\n" for name, value in request.headers if name.lower() not in replaced]
        )
        length = request.payload.length
        framing = "Transfer-Encoding: chunked\r\n" if length is None else f"Content-Length: {length}\r\n"
        first = f"{request.method} {target} HTTP/1.1\r\n{self._host_line}"
        return f"{first}{client_lines}{own_lines}{endpoint_lines}{framing}\r\n".encode("utf-8", "surrogateescape")
