"""TLS towards providers: what is trusted, and what is resumed, on both event loops."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trustme
import uvloop

from proxy.config import parse_settings
from proxy.upstream import Upstream
from proxy.upstream.broken import BrokenError, Phase
from proxy.upstream.dial import Dialer
from proxy.upstream.tls import tls_context
from tests.upstream.loopback import Listener, tls_pair, until

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on a loop of this kind."""

    def run(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main)

    return run


async def connect(dialer: Dialer, server: Listener, *, hello: bool = True) -> bool:
    """Whether a new connection resumes the session of one before it, as both sides see it; it is cut off afterwards."""
    before = len(server.accepted)
    connection = await dialer.open(5)
    await until(lambda: len(server.accepted) > before)
    assert connection.transport is not None
    tls: ssl.SSLObject = connection.transport.get_extra_info("ssl_object")
    if hello:
        # What the server sends first comes behind its tickets.
        connection.answer.begin()
        server.accepted[-1].write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await until(lambda: connection.answer.is_complete)
        assert server.accepted[-1].get_extra_info("ssl_object").session_reused == tls.session_reused
    connection.close()
    await server.gone.get()
    assert tls.selected_alpn_protocol() == "http/1.1"
    return bool(tls.session_reused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_sessions_are_resumed(version: ssl.TLSVersion, run: Run) -> None:
    """Every connection but the first, also after one that ended before its tickets came, if one before it had some."""

    async def main() -> None:
        server_tls, client_tls = tls_pair("localhost")
        server_tls.minimum_version = server_tls.maximum_version = version
        server_tls.set_alpn_protocols(["h2", "http/1.1"])
        async with Listener(server_tls) as server:
            dialer = Dialer("localhost", server.port, client_tls, None)
            assert [await connect(dialer, server) for _ in range(4)] == [False, True, True, True]
            await connect(dialer, server, hello=False)
            assert await connect(dialer, server)

    run(main())


def test_sessions_belong_to_one_server(run: Run) -> None:
    """Another port of the same host, asked with the same context, gets a handshake of its own."""

    async def main() -> None:
        server_tls, client_tls = tls_pair("localhost")
        server_tls.set_alpn_protocols(["http/1.1"])
        async with Listener(server_tls) as one, Listener(server_tls) as other:
            first, second = (Dialer("localhost", each.port, client_tls, None) for each in (one, other))
            assert not await connect(first, one)
            assert not await connect(second, other)
            assert await connect(first, one)

    run(main())


def test_a_server_that_forgot_the_session(run: Run) -> None:
    """One that was restarted has new keys for its tickets: the handshake is a full one, and works."""

    async def main() -> None:
        server_tls, client_tls = tls_pair("localhost")
        server_tls.set_alpn_protocols(["http/1.1"])
        authority = trustme.CA()
        restarted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(restarted)
        restarted.set_alpn_protocols(["http/1.1"])
        authority.configure_trust(client_tls)
        async with Listener(server_tls) as server:
            dialer = Dialer("localhost", server.port, client_tls, None)
            await connect(dialer, server)
        async with Listener(restarted, port=server.port) as server:
            assert [await connect(dialer, server) for _ in range(2)] == [False, True]

    run(main())


@pytest.mark.parametrize("names", [("localhost",), ("other.example",)], ids=["authority", "name"])
def test_what_is_not_trusted(names: tuple[str, ...], run: Run) -> None:
    """A certificate of another authority, or for another host, every time anew."""

    async def main() -> None:
        server_tls, client_tls = tls_pair(*names)
        async with Listener(server_tls) as server:
            dialer = Dialer(
                "localhost", server.port, tls_context(None) if names == ("localhost",) else client_tls, None
            )
            for _ in range(2):
                with pytest.raises(BrokenError, match=r"the TLS certificate of localhost:.* is not trusted") as broken:
                    await dialer.open(5)
                assert broken.value.phase is Phase.TLS

    run(main())


def test_what_is_no_tls(run: Run) -> None:
    """A server that answers a handshake with plain text, or not at all."""

    async def main() -> None:
        _, client_tls = tls_pair("localhost")
        async with Listener() as server:
            dialer = Dialer("localhost", server.port, client_tls, None)
            opening = asyncio.create_task(dialer.open(5))
            await until(lambda: server.received and server.received[0])
            server.accepted[0].write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            with pytest.raises(BrokenError, match=r"TLS with localhost:\d+ failed") as broken:
                await opening
            assert broken.value.phase is Phase.TLS
            with pytest.raises(BrokenError, match=r"could not be connected to within 0\.05 s"):
                await dialer.open(0.05)
            async with asyncio.timeout(5):
                assert {await server.gone.get(), await server.gone.get()} == {0, 1}

    run(main())


def test_the_context_is_strict() -> None:
    """Certificates and names are checked; nothing older than TLS 1.2 will do."""
    context = tls_context(None)

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):  # noqa: PT011 - FileNotFoundError or ssl.SSLError, by the system
        tls_context("/nowhere.pem")


def test_authorities_are_read_once_and_only_for_tls() -> None:
    """Reading the system's takes longer than most of the start."""
    addresses = {"plain": "http://h/v1", "one": "https://h/v1", "other": "https://i/v1"}
    text = "providers: {" + ", ".join(f'{name}: {{base_url: "{url}"}}' for name, url in addresses.items()) + "}"
    providers = parse_settings(text, {}).providers
    contexts = Upstream(providers).tls_for(providers)

    assert contexts.keys() == {"one", "other"}
    assert contexts["one"] is contexts["other"]
