"""Opening connections: addresses, sockets, outgoing proxies, TLS."""

import asyncio
import os
import re
import socket
import ssl
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import aiohappyeyeballs

from proxy.upstream.broken import BrokenError, Phase, SilenceError
from proxy.upstream.connection import Connection
from proxy.upstream.resolve import Resolver
from proxy.upstream.tls import ResumingContext

# RFC 8305 §8: the delay before the next address is tried beside the one that doesn't answer.
_NEXT_ADDRESS_S = 0.25
_PROXY_HEAD_BYTES = 16 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")

_SOCKET_OPTIONS = [
    # Without it a small write may wait 40 ms for the acknowledgement of the one before it.
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # A model may think for minutes. Probes keep the firewalls on the way from forgetting the connection meanwhile, and
    # find out about a host that vanished: the first after a minute, since the system's own two hours are no use.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
]
if hasattr(socket, "TCP_KEEPIDLE"):  # macOS has it under another name
    _SOCKET_OPTIONS += [
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 60),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5),
    ]


class OutgoingProxy(NamedTuple):
    """An HTTP proxy on the way to a provider."""

    host: str
    port: int
    authorization: str | None
    """The value of Proxy-Authorization."""

    @classmethod
    def of_url(cls, url: str) -> "OutgoingProxy":
        """The proxy at `http://user:password@host:port`."""
        parts = urlsplit(url)
        login = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            login = "Basic " + b64encode(pair.encode()).decode()
        return cls(parts.hostname or "", parts.port or 80, login)


class Dialer:
    """Opens connections to one origin.

    Args:
        host: its name or address.
        port: its port.
        tls: how to secure the connection; None for plain HTTP.
        proxy: the outgoing proxy to go by, if any.
    """

    __slots__ = ("_host", "_port", "_proxy", "_resolver", "_tls")

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, proxy: OutgoingProxy | None) -> None:
        self._host, self._port, self._proxy = host, port, proxy
        self._tls = None if tls is None else ResumingContext(tls)
        self._resolver = Resolver(host, port) if proxy is None else Resolver(proxy.host, proxy.port)

    @property
    def is_secure(self) -> bool:
        """Whether the origin is asked over TLS."""
        return self._tls is not None

    async def open(self, limit_s: float) -> Connection:
        """A new connection; raises `BrokenError` if there can be none, `SilenceError` if there is none in `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._open()
        except TimeoutError as error:
            self._resolver.expire()
            raise SilenceError(f"could not be connected to within {limit_s:g} s", Phase.CONNECT) from error
        except BrokenError:
            self._resolver.expire()
            raise

    def close(self) -> None:
        """End what isn't part of opening a single connection; nothing can be opened any more."""
        self._resolver.close()

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        connected = await self._connect(loop)
        try:
            transport, connection = await loop.create_connection(
                Connection, sock=connected, ssl=self._tls, server_hostname=self._host if self._tls else None
            )
        except OSError as error:
            if self._tls is not None:
                self._tls.forget()
            origin = _authority(self._host, self._port)
            is_untrusted = isinstance(error, ssl.SSLCertVerificationError)
            what = f"the TLS certificate of {origin} is not trusted" if is_untrusted else f"TLS with {origin} failed"
            raise BrokenError(f"could not be reached: {what}", Phase.TLS) from error
        if self._tls is not None:
            self._tls.handshaken(transport.get_extra_info("ssl_object"))
        return connection

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        """A socket whose other end is the origin, be it by way of the outgoing proxy."""
        infos = await self._resolver.addresses()
        try:
            connected = await aiohappyeyeballs.start_connection(
                infos, happy_eyeballs_delay=_NEXT_ADDRESS_S, socket_factory=_socket
            )
        except OSError as error:
            peer = self._proxy or (self._host, self._port)
            reason = os.strerror(error.errno) if error.errno else "the connection failed"
            where = _authority(peer[0], peer[1])
            raise BrokenError(f"could not be reached at {where}: {reason}", Phase.CONNECT) from error
        if self._tls is not None and self._proxy is not None:
            try:
                await self._tunnel(loop, connected, self._proxy)
            except BaseException:
                connected.close()
                raise
        return connected

    async def _tunnel(self, loop: asyncio.AbstractEventLoop, connected: socket.socket, proxy: OutgoingProxy) -> None:
        """Ask the outgoing proxy for a way through (RFC 9110 §9.3.6)."""
        unusable = "could not be reached: the outgoing proxy"
        authority = _authority(self._host, self._port)
        login = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        request = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n"
        answer = b""
        try:
            await loop.sock_sendall(connected, request.encode())
            while b"\r\n\r\n" not in answer:
                piece = await loop.sock_recv(connected, _PROXY_HEAD_BYTES)
                answer += piece
                if not piece or len(answer) > _PROXY_HEAD_BYTES:
                    raise BrokenError(f"{unusable} broke off", Phase.CONNECT)
        except OSError as error:
            raise BrokenError(f"{unusable} broke off", Phase.CONNECT) from error
        status = _STATUS_LINE.match(answer)
        if status is None or not status[1].startswith(b"2"):
            said = "what is no HTTP" if status is None else f"status {status[1].decode()}"
            raise BrokenError(f"{unusable} answered with {said}", Phase.CONNECT)
        if not answer.endswith(b"\r\n\r\n"):
            # In TLS the client speaks first, so this is from nobody who is behind the proxy.
            raise BrokenError(f"{unusable} sent more than its answer", Phase.CONNECT)


def _socket(info: aiohappyeyeballs.AddrInfoType) -> socket.socket:
    made = socket.socket(info[0], info[1], info[2])
    for level, option, value in _SOCKET_OPTIONS:
        made.setsockopt(level, option, value)
    return made


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
