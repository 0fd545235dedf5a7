"""How one provider is asked in one protocol: everything that can be made ready once, before any request."""

import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from proxy.config.settings import ProtocolSettings, Provider
from proxy.upstream.credentials import credential_headers, credential_url
from proxy.upstream.dial import Dialer, OutgoingProxy
from proxy.upstream.pool import Pool
from proxy.upstream.requests import ProviderRequest
from proxy.wire.headers import HANDSHAKE, NOT_FORWARDED, request_lines

_PORTS = {"http": 80, "https": 443}
_SWITCH = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


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
        self.pool = Pool(Dialer(host, port, tls if is_tls else None, proxy), provider.limits)
        # A plain request by way of a proxy names the whole URL (RFC 9112 §3.2.2).
        self._cut = 0 if proxy is not None and not is_tls else len(f"{parts.scheme}://{parts.netloc}")
        own = [(name, secret.reveal()) for name, secret in provider.headers]
        if proxy is not None and not is_tls and proxy.authorization:
            own.append(("Proxy-Authorization", proxy.authorization))
        self._own = own + credential_headers(provider, protocol)
        self._own_lines = _lines(self._own)
        self._dropped = NOT_FORWARDED.union(name.lower().encode() for name, _ in self._own)
        self._host_line = f"Host: {parts.netloc}\r\n"

    def head(self, request: ProviderRequest) -> bytes:
        """The head of the request, with the provider's headers and credential over the client's."""
        target = credential_url(request.url, self._provider, self._protocol)[self._cut :]
        own_lines, dropped = self._own_lines, self._dropped
        if request.own_headers:
            endpoints = {name.lower(): (name, secret.reveal()) for name, secret in request.own_headers}
            own_lines = _lines([field for field in self._own if field[0].lower() not in endpoints])
            own_lines += _lines(endpoints.values())
            dropped = dropped.union(name.encode() for name in endpoints)
        if request.payload is None:
            framing = _SWITCH
            dropped -= HANDSHAKE
        elif request.payload.length is None:
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            framing = b"Content-Length: %d\r\n" % request.payload.length
        first = f"{request.method} {target} HTTP/1.1\r\n{self._host_line}".encode("utf-8", "surrogateescape")
        return b"%b%b%b%b\r\n" % (first, request_lines(request.head, dropped), own_lines, framing)


def _lines(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in fields]).encode("utf-8", "surrogateescape")
