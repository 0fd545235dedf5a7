"""Clients that take their time, send too much or leave: every limit ends in an answer that they can see, or a close."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import pytest

from proxy.app import Proxy, event_loop
from proxy.config import settings_from
from tests.gateway.conftest import Start
from tests.gateway.raw_client import GET, answers, ask, connect, gone, open_connections, read_answer, rest
from tests.gateway.scripted_provider import EVENTS, Connection, ScriptedProvider
from tests.upstream.loopback import until


@pytest.mark.parametrize(
    "sent", [b"", b"GET /", b"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "], ids=["nothing", "a line", "a field"]
)
async def test_a_head_that_does_not_come(sent: bytes, scripted: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a request, or with a head that drips in, is closed after the keep-alive time."""
    monkeypatch.setattr("proxy.gateway.connections._KEEPALIVE_S", 0.2)
    proxy = await scripted(answers)
    for before in (b"", GET):
        reader, writer = await connect(proxy)
        writer.write(before + sent)
        if before:
            await read_answer(reader)
        dripping = asyncio.create_task(_drip(writer)) if sent else None

        # A byte that comes too late resets the connection (RFC 9112 §9.6); where there is none, nothing may.
        with suppress(*([ConnectionResetError] if sent else [])):
            assert await rest(reader) == b""
        if dripping is not None:
            dripping.cancel()
        writer.close()
    await gone(proxy)


async def _drip(writer: asyncio.StreamWriter) -> None:
    """A byte now and then."""
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("lines", [(), (b"Expect: 100-continue",)], ids=["sends", "waits to be invited"])
@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/admin/routes"])
async def test_an_early_answer_reaches_a_client_that_still_sends(
    path: bytes, lines: tuple[bytes, ...], scripted: Start
) -> None:
    """A client that uploads far too much sees the 413 instead of a reset, whoever answers."""
    proxy = await scripted(answers, max_body_bytes=100_000)
    reader, writer = await connect(proxy)
    raw = ask(30_000_000, *lines).replace(b"/v1/chat/completions", path, 1)
    head, blank, body = raw.partition(b"\r\n\r\n")
    writer.write(head + blank)
    if not lines or path == b"/admin/routes":
        for start_at in range(0, len(body), 1_000_000):
            writer.write(body[start_at : start_at + 1_000_000])
            async with asyncio.timeout(20):
                await writer.drain()
    status, got = 0, b"HTTP/1.1 100 Continue\r\n\r\n"
    while got.startswith(b"HTTP/1.1 100"):
        status, got, _ = await read_answer(reader)

    assert status == 413
    assert await rest(reader) == b""
    writer.close()


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/admin/routes"])
@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stalls(path: bytes, framing: bytes, scripted: Start) -> None:
    """It is answered 408, and the connection is closed."""
    proxy = await scripted(answers, client_idle_s=0.1)
    reader, writer = await connect(proxy)
    writer.write(b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n\r\n" % (path, framing))
    status, head, _ = await read_answer(reader)

    assert status == 408
    assert b"\r\nConnection: close\r\n" in head
    assert await rest(reader) == b""
    writer.close()
    await gone(proxy)


async def test_a_provider_that_answers_within_an_upload(scripted: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Its answer reaches the client, who is still sending the form, and nothing fails behind it."""

    async def script(connection: Connection) -> None:
        await connection.read_until(b"begins")
        await connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    proxy = await scripted(script)
    reader, writer = await connect(proxy)
    form = FORM.partition(b"xx")[0] + b"begins" + b"." * 100
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
    writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(form), form))

    assert (await read_answer(reader))[::2] == (400, b"no")
    assert await rest(reader) == b""
    writer.close()
    await gone(proxy)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_nobody_waits_for_a_client_that_takes_nothing(scripted: Start) -> None:
    """An answer that is complete and not taken is given up after the client's time limit, however little is left."""

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        # Up to a little more than the sockets hold.
        while not _unsent(proxy):
            await connection.send_chunk(b"x" * 8192)
            await asyncio.sleep(0)
        await connection.send_chunk(b"")

    proxy = await scripted(script, client_idle_s=0.2)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((proxy.address.host, proxy.address.port))
    client.sendall(ask(0, b"Connection: close"))
    await until(lambda: open_connections(proxy))
    await gone(proxy)
    client.close()


def _unsent(proxy: Proxy) -> int:
    """Bytes that wait in the proxy for clients to take them."""
    transports = [each._transport for listener in proxy._listeners for each in listener._connections.open]
    return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)


FORM = (
    b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\nprovider:m\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n%b\r\n--XX--\r\n'
) % (b"x" * 700_000)
UPLOAD = (
    b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(FORM), FORM)
)
LEAVING = {
    "small": ask(),
    "large": ask(600_000),
    "larger": ask(3_000_000),
    "form": UPLOAD,
    "pipelined": GET * 3 + ask(),
    "pipelined and large": GET + ask(300_000),
}


@pytest.mark.parametrize("loop_factory", [event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("sent", LEAVING)
def test_leaving_is_noticed_whatever_was_sent(sent: str, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A client that leaves while a silent provider thinks stops it, also behind a large body or several requests."""

    async def scenario() -> None:
        asked, left = asyncio.Event(), asyncio.Event()

        async def script(connection: Connection) -> None:
            asked.set()
            await connection.closed()
            left.set()

        async with AsyncExitStack() as stack:
            provider = await stack.enter_async_context(ScriptedProvider(script))
            sections = {"server": {"listen": "127.0.0.1:0"}, "providers": {"provider": provider.section}}
            proxy = await stack.enter_async_context(Proxy(settings_from(sections)))
            _, writer = await connect(proxy)
            writer.write(LEAVING[sent])
            async with asyncio.timeout(10):
                await asked.wait()
            writer.close()
            async with asyncio.timeout(5):
                await left.wait()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        for _ in range(3):
            runner.run(scenario())
