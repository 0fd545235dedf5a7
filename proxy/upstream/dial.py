"""Opening connections: names, addresses, outgoing proxies, TLS."""

import asyncio
import os
import re
import socket
import ssl
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import aiohappyeyeballs

from proxy.upstream.connection import BrokenError, Connection, Phase, SilenceError

AddressInfos = list[tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str, int]]]

_NAMES_FOR_S = 60.0
# RFC 8305 §8: the delay before the next address is tried beside the one that doesn't answer.
_NEXT_ADDRESS_S = 0.25
_PROXY_HEAD_BYTES = 16 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")


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

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, proxy: OutgoingProxy | None) -> None:
        self._host, self._port, self._tls, self._proxy = host, port, tls, proxy
        self._infos: AddressInfos = []
        self._infos_until = 0.0

    async def open(self, limit_s: float) -> Connection:
        """A new connection; raises `BrokenError` if there can be none within `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._open()
        except TimeoutError as error:
            raise SilenceError(f"could not be connected to within {limit_s:g} s", Phase.CONNECT) from error

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        connected = await self._connect(loop)
        try:
            _, connection = await loop.create_connection(
                Connection, sock=connected, ssl=self._tls, server_hostname=self._host if self._tls else None
            )
        except ssl.SSLCertVerificationError as error:
            reason = f"could not be reached: the TLS certificate of {self._host}:{self._port} is not trusted"
            raise BrokenError(reason, Phase.TLS) from error
        except OSError as error:
            reason = f"could not be reached: TLS with {self._host}:{self._port} failed"
            raise BrokenError(reason, Phase.TLS) from error
        return connection

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        host, port = (self._host, self._port) if self._proxy is None else (self._proxy.host, self._proxy.port)
        try:
            infos = await self._look_up(loop, host, port)
            connected = await aiohappyeyeballs.start_connection(infos, happy_eyeballs_delay=_NEXT_ADDRESS_S)
        except socket.gaierror as error:
            reason = f"could not be reached: the name {host} could not be looked up"
            raise BrokenError(reason, Phase.CONNECT) from error
        except OSError as error:
            self._infos_until = 0.0
            reason = os.strerror(error.errno) if error.errno else "the connection failed"
            raise BrokenError(f"could not be reached at {host}:{port}: {reason}", Phase.CONNECT) from error
        if self._tls is not None and self._proxy is not None:
            try:
                await self._tunnel(loop, connected, self._proxy)
            except BaseException:
                connected.close()
                raise
        # Without it a small write may wait 40 ms for the acknowledgement of the one before it.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    async def _look_up(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> AddressInfos:
        if loop.time() >= self._infos_until:
            self._infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[assignment] # same
            self._infos_until = loop.time() + _NAMES_FOR_S
        return self._infos

    async def _tunnel(self, loop: asyncio.AbstractEventLoop, connected: socket.socket, proxy: OutgoingProxy) -> None:
        """Ask the outgoing proxy for a way through (RFC 9110 §9.3.6)."""
        unusable = "could not be reached: the outgoing proxy"
        authority = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        login = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        request = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n"
        head = b""
        try:
            await loop.sock_sendall(connected, request.encode())
            while not head.endswith(b"\r\n\r\n"):
                # A byte at a time, since what stands behind the head belongs to TLS.
                byte = await loop.sock_recv(connected, 1)
                head += byte
                if not byte or len(head) > _PROXY_HEAD_BYTES:
                    raise BrokenError(f"{unusable} broke off", Phase.CONNECT)
        except OSError as error:
            raise BrokenError(f"{unusable} broke off", Phase.CONNECT) from error
        status = _STATUS_LINE.match(head)
        if status is None or not status[1].startswith(b"2"):
            said = "what is no HTTP" if status is None else f"status {status[1].decode()}"
            raise BrokenError(f"{unusable} answered with {said}", Phase.CONNECT)
