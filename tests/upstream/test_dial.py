"""Opening connections: sockets, and the way through an outgoing proxy."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from proxy.upstream.broken import BrokenError, Phase, SilenceError
from proxy.upstream.connection import Connection
from proxy.upstream.dial import Dialer, OutgoingProxy
from tests.upstream.loopback import Listener, tls_pair, until, unused_port

ESTABLISHED = b"HTTP/1.1 200 Connection Established\r\nVia: 1.1 proxy\r\n\r\n"


@pytest.fixture
async def proxy() -> AsyncIterator[Listener]:
    """An outgoing proxy that says what the test writes."""
    async with Listener() as proxy:
        yield proxy


def by_way_of(proxy: Listener, host: str = "provider.example") -> Dialer:
    return Dialer(host, 443, tls_pair(host)[1], OutgoingProxy("127.0.0.1", proxy.port, None))


async def opening(dialer: Dialer, proxy: Listener, limit_s: float = 5) -> "asyncio.Task[Connection]":
    """A connection that is being opened and has asked the proxy."""
    task = asyncio.create_task(dialer.open(limit_s))
    await until(lambda: proxy.received and proxy.received[-1].endswith(b"\r\n\r\n"))
    return task


async def test_small_writes_go_out_at_once() -> None:
    """Nagle's algorithm is off, and the system looks after silent connections."""
    async with Listener() as server:
        connection = await Dialer("127.0.0.1", server.port, None, None).open(5)
        assert connection.transport is not None
        opened: socket.socket = connection.transport.get_extra_info("socket")

        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        connection.close()


@pytest.mark.parametrize(
    ("host", "authority"), [("provider.example", b"provider.example:443"), ("2001:db8::1", b"[2001:db8::1]:443")]
)
async def test_the_proxy_is_asked_for_a_tunnel(host: str, authority: bytes, proxy: Listener) -> None:
    """By the provider's name or address, which it looks up itself, and with the login that it wants."""
    login = OutgoingProxy.of_url(f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    task = await opening(Dialer(host, 443, tls_pair(host)[1], login), proxy)
    task.cancel()

    assert proxy.received[0] == (
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n" % (authority, authority)
    )
    await proxy.gone.get()


async def test_tls_begins_behind_the_proxys_answer(proxy: Listener) -> None:
    """However the answer is cut; then the bytes are the provider's."""
    task = await opening(by_way_of(proxy), proxy)
    asked = len(proxy.received[0])
    for cut in (ESTABLISHED[:20], ESTABLISHED[20:-1], ESTABLISHED[-1:]):
        assert len(proxy.received[0]) == asked
        proxy.accepted[0].write(cut)
    await until(lambda: len(proxy.received[0]) > asked)
    task.cancel()

    assert proxy.received[0][asked:].startswith(b"\x16\x03")
    await proxy.gone.get()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nno!\n", "answered with status 407"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "answered with status 100"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "answered with what is no HTTP"),
        (ESTABLISHED + b"injected", "sent more than its answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 17_000, "broke off"),
        (b"HTTP/1.1 200 OK\r\n", "broke off"),
        (b"", "broke off"),
    ],
)
async def test_a_proxy_that_is_no_use(answer: bytes, reason: str, proxy: Listener) -> None:
    """Whatever it says or doesn't, the error tells it, nothing was sent, and the socket is closed."""
    task = await opening(by_way_of(proxy), proxy)
    proxy.accepted[0].write(answer)
    if reason == "broke off":
        proxy.accepted[0].close()
    with pytest.raises(BrokenError, match=f"the outgoing proxy {reason}") as broken:
        await task

    assert broken.value.phase is Phase.CONNECT
    await proxy.gone.get()


async def test_a_silent_proxy(proxy: Listener) -> None:
    """It has as long as connecting may take altogether, also if it goes on saying a little."""
    task = await opening(by_way_of(proxy), proxy, limit_s=0.05)
    proxy.accepted[0].write(b"HTTP/1.1 200")
    with pytest.raises(SilenceError, match=r"within 0\.05 s") as broken:
        await task

    assert broken.value.phase is Phase.CONNECT
    await proxy.gone.get()


async def test_what_is_not_there_is_named() -> None:
    """The address in the error is the one that was tried: the proxy's, if there is one."""
    port = unused_port()
    with pytest.raises(BrokenError, match=rf"could not be reached at 127\.0\.0\.1:{port}: Connection refused"):
        await Dialer("provider.example", 443, None, OutgoingProxy("127.0.0.1", port, None)).open(5)
    with pytest.raises(BrokenError, match=r"could not be reached at \[::1\]:"):
        await Dialer("::1", port, None, None).open(5)
