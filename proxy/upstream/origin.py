"""How one provider is asked in one protocol: everything that can be made ready before any request.

An `Origin` is made once for a provider and protocol, and holds its connections; it makes a `RequestTemplate` for each
target and kind of request, which is all that such requests have in common.
"""

import ssl
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from proxy.config.settings import EndpointOverrides, ProtocolSettings, Provider, Timeouts
from proxy.upstream.concurrency import ConcurrencyLimit
from proxy.upstream.credentials import credential_headers, credential_url
from proxy.upstream.dial import Dialer, OutgoingProxy
from proxy.upstream.pool import Pool
from proxy.wire import HANDSHAKE, NOT_FORWARDED, Head

_PORTS: Final = {"http": 80, "https": 443}
_SWITCH: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
_NO_OVERRIDES: Final = EndpointOverrides()


class RequestTemplate:
    """One kind of request to one target.

    Args:
        origin: where it goes.
        start: the request line behind the method, and the Host, as lines of a head.
        own_lines: the fields of the endpoint and the provider, its credential among them.
        dropped: the client's fields that don't go along, by their names in lower case.
        timeouts: of each attempt.
        limits: where each attempt takes a place.
    """

    __slots__ = ("_dropped", "_own_lines", "_start", "limits", "origin", "timeouts")

    def __init__(
        self,
        origin: "Origin",
        start: bytes,
        own_lines: bytes,
        dropped: frozenset[bytes],
        timeouts: Timeouts,
        limits: tuple[ConcurrencyLimit, ...],
    ) -> None:
        self.origin = origin
        self._start = start
        self._own_lines = own_lines
        self._dropped = dropped
        self.timeouts = timeouts
        self.limits = limits

    def head(self, client: Head, length: int | None) -> bytes:
        """The head of a POST whose body has this many bytes; None sends it in chunks."""
        framing = b"Transfer-Encoding: chunked\r\n\r\n" if length is None else b"Content-Length: %d\r\n\r\n" % length
        return b"".join((b"POST ", self._start, client.lines_without(self._dropped), self._own_lines, framing))

    def lookup(self, client: Head) -> bytes:
        """The head of a GET."""
        return b"GET %b%b%b\r\n" % (self._start, client.lines_without(self._dropped), self._own_lines)

    def handshake(self, client: Head) -> bytes:
        """The head of a request for a WebSocket, with what the client says in its own handshake."""
        lines = client.lines_without(self._dropped - HANDSHAKE)
        return b"GET %b%b%b%b\r\n" % (self._start, lines, self._own_lines, _SWITCH)


class Origin:
    """A provider's address in one protocol, with its connections.

    Args:
        provider: whose address it is.
        protocol: how it is asked.
        tls: the provider's TLS settings, used if the address is an https one; None only if it isn't.

    Attributes:
        address: its host and port.
    """

    def __init__(self, provider: Provider, protocol: ProtocolSettings, tls: ssl.SSLContext | None) -> None:
        self.provider, self._protocol = provider, protocol
        parts = urlsplit(protocol.base_url)
        self.address = host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        proxy = OutgoingProxy.of_url(provider.proxy.reveal()) if provider.proxy else None
        is_tls = parts.scheme == "https"
        self.pool = Pool(Dialer(host, port, tls if is_tls else None, proxy), provider.limits)
        # A plain request by way of a proxy names the whole URL (RFC 9112 §3.2.2).
        self._cut = 0 if proxy is not None and not is_tls else len(f"{parts.scheme}://{parts.netloc}")
        self._host = parts.netloc
        self._own = [(name, secret.reveal()) for name, secret in provider.headers]
        if proxy is not None and not is_tls and proxy.authorization:
            self._own.append(("Proxy-Authorization", proxy.authorization))
        self._own += credential_headers(provider, protocol)

    def template(
        self, url: str, overrides: EndpointOverrides | None, limits: tuple[ConcurrencyLimit, ...] = ()
    ) -> RequestTemplate:
        """Make ready for requests to `url`, with what the endpoint sets over its provider, and that over the client."""
        overrides = overrides or _NO_OVERRIDES
        endpoints = {name.lower(): (name, secret.reveal()) for name, secret in overrides.headers}
        own = [field for field in self._own if field[0].lower() not in endpoints] + list(endpoints.values())
        target = credential_url(url, self.provider, self._protocol)[self._cut :]
        return RequestTemplate(
            self,
            f"{target} HTTP/1.1\r\nHost: {self._host}\r\n".encode("utf-8", "surrogateescape"),
            _lines(own),
            NOT_FORWARDED.union(name.lower().encode() for name, _ in own),
            overrides.timeouts or self.provider.timeouts,
            limits,
        )


def _lines(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in fields]).encode("utf-8", "surrogateescape")
