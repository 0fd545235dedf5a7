"""A client's connection: what it may do between requests and within them, and what becomes of those that misbehave."""

import asyncio
import socket

import pytest

from proxy.app import Proxy
from tests.conftest import MakeProxy
from tests.gateway.conftest import Start
from tests.gateway.raw_client import ANSWER, GET, answers, ask, connect, gone, open_connections, read_answer, rest
from tests.gateway.scripted_provider import EVENTS, Connection
from tests.upstream.loopback import until


async def test_answers_come_in_the_order_of_the_requests(proxy: Proxy) -> None:
    """On one connection: forwarded requests, the application's, the admin plane's, with bodies and without."""
    swap = b'{"model": "other", "endpoints": [{"provider": "straw", "model_id": "m"}]}'
    asks: list[tuple[bytes, int, bytes]] = [
        (ask(model=b"fast"), 200, b'"choices"'),
        (b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200, b'"fast"'),
        (b"HEAD /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200, b""),
        (
            b"POST /admin/routes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (len(swap), swap),
            200,
            b"ok",
        ),
        (ask(model=b"other"), 200, b'"choices"'),
        (ask(model=b"nobody"), 404, b"nobody"),
        (b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc", 404, b"/v1/models"),
        (
            b"PUT /v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            405,
            b"PUT",
        ),
        (GET, 200, b"ok"),
    ] * 3
    for together in (False, True):
        reader, writer = await connect(proxy)
        if together:
            writer.write(b"".join(raw for raw, _, _ in asks))
        for raw, status, word in asks:
            if not together:
                writer.write(raw)
            got, head, body = await read_answer(reader, has_body=not raw.startswith(b"HEAD"))

            assert got == status, (raw, head)
            assert word in body
            assert b"connection: close" not in head.lower()
        writer.close()
        await writer.wait_closed()


async def test_more_requests_than_a_buffer_holds(scripted: Start) -> None:
    """A client that sends 3 MB of requests before it reads any answer gets all answers."""
    proxy = await scripted(answers)
    reader, writer = await connect(proxy)
    count = 300
    sending = asyncio.create_task(_write_all(writer, (GET * 20 + ask(10_000)) * count))
    for _ in range(count):
        for _ in range(20):
            assert (await read_answer(reader))[0] == 200
        assert (await read_answer(reader))[2] == b"ok"
    await sending
    writer.close()
    await writer.wait_closed()


async def _write_all(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_nothing_behind_the_last_answer(scripted: Start) -> None:
    """A request in the same segment behind one that says `Connection: close` gets no answer, and the client sees why."""
    asked = 0

    async def script(connection: Connection) -> None:
        nonlocal asked
        asked += 1
        await connection.send(ANSWER)

    proxy = await scripted(script)
    for first in (ask(0, b"Connection: close"), ask(version=b"1.0"), ask(0, b"Connection: keep-alive", version=b"1.0")):
        reader, writer = await connect(proxy)
        writer.write(first + ask() + ask())
        status, head, body = await read_answer(reader)

        assert (status, body) == (200, b"ok")
        assert b"\r\nConnection: close\r\n" in head
        assert await rest(reader) == b""
        writer.close()
    assert asked == 3


async def test_a_stream_for_http_1_0(scripted: Start) -> None:
    """It comes without chunks, and ends with the connection; one that breaks is reset."""

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(b"data: 1\n\n")
        await connection.send_chunk(b"data: 2\n\n")
        if endings.pop(0):
            await connection.send_chunk(b"")

    endings = [True, False]
    proxy = await scripted(script)
    reader, writer = await connect(proxy)
    writer.write(ask(version=b"1.0"))
    head, _, body = (await rest(reader)).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body == b"data: 1\n\ndata: 2\n\n"
    writer.close()

    reader, writer = await connect(proxy)
    writer.write(ask(version=b"1.0"))
    with pytest.raises(ConnectionResetError):
        await rest(reader)
    writer.close()


async def test_bytes_within_an_answer(scripted: Start) -> None:
    """What a client sends while its answer streams waits for its turn; rubbish is answered behind the answer."""
    sent = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(b"data: 1\n\n")
        await sent.wait()
        await connection.send_chunk(b"data: 2\n\n")
        await connection.send_chunk(b"")

    proxy = await scripted(script)
    for behind, status in ((GET, 200), (b"\x00\x01\x02", 400)):
        sent.clear()
        reader, writer = await connect(proxy)
        writer.write(ask())
        async with asyncio.timeout(20):
            await reader.readuntil(b"data: 1\n\n\r\n")
            writer.write(behind)
            sent.set()
            assert await reader.readuntil(b"\r\n0\r\n\r\n") == b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"
        assert (await read_answer(reader))[0] == status
        writer.close()


async def test_both_sides_send_small_pieces_at_once(scripted: Start) -> None:
    """TCP_NODELAY is set towards clients and towards providers."""
    asked = asyncio.Event()

    async def script(connection: Connection) -> None:
        asked.set()
        await connection.closed()

    proxy = await scripted(script)
    _, writer = await connect(proxy)
    writer.write(ask())
    await asked.wait()
    transports = [each._transport for listener in proxy._listeners for each in listener._connections.open]
    transports += [each.transport for origin in proxy._upstream._origins.values() for each in origin.pool._busy]
    writer.close()

    assert len(transports) == 2
    for transport in transports:
        assert transport is not None
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_last_answer_is_seen_whatever_comes_behind(scripted: Start) -> None:
    """Megabytes that nobody will read don't turn the close behind the last answer into a reset that destroys it."""
    proxy = await scripted(answers)
    for behind in (ask(3_000_000), b"\x00" * 3_000_000):
        reader, writer = await connect(proxy)
        writer.write(ask(0, b"Connection: close") + behind)
        status, _, body = await read_answer(reader)

        assert (status, body) == (200, b"ok")
        assert await rest(reader) == b""
        writer.close()
    await gone(proxy)


async def test_a_long_answer_of_the_application_goes_at_the_clients_pace(make_proxy: MakeProxy) -> None:
    """A client that reads late and slowly gets all of it, one that doesn't read is given up, and the proxy holds it once."""
    models = {f"model-{number:05}": {"endpoints": [{"provider": "up", "model_id": "m"}]} for number in range(8_000)}
    proxy = await make_proxy(
        server={"client_idle_s": 0.5}, providers={"up": {"base_url": "http://127.0.0.1:1/v1"}}, models=models
    )
    request = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    reader, writer = await asyncio.open_connection(proxy.address.host, proxy.address.port, limit=4096)
    writer.write(request)
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        assert left > 600_000
        while left:
            left -= len(await reader.read(20_000))
            await asyncio.sleep(0)
    writer.write(GET)
    assert (await read_answer(reader))[0] == 200
    writer.close()
    await gone(proxy)

    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((proxy.address.host, proxy.address.port))
        client.sendall(request * 3)
        await until(lambda: open_connections(proxy))
        await gone(proxy)


async def test_a_stop_while_things_are_under_way(scripted: Start) -> None:
    """What rests is closed, nobody new is let in, what streams comes to its end, and one more answer is the last."""
    goes_on = asyncio.Event()
    asked = 0

    async def script(connection: Connection) -> None:
        nonlocal asked
        asked += 1
        await connection.send(EVENTS)
        await connection.send_chunk(b"data: 1\n\n")
        await goes_on.wait()
        await connection.send_chunk(b"data: 2\n\n")
        await connection.send_chunk(b"")

    proxy = await scripted(script)
    resting, streaming, starting = [await connect(proxy) for _ in range(3)]
    starting[1].write(ask()[:30])
    resting[1].write(GET)
    await read_answer(resting[0])
    streaming[1].write(ask() + GET + ask())
    async with asyncio.timeout(20):
        await streaming[0].readuntil(b"data: 1\n\n\r\n")
    stopping = asyncio.gather(*(listener.drain() for listener in proxy._listeners))

    assert await rest(resting[0]) == b""
    assert await rest(starting[0]) == b""
    with pytest.raises(ConnectionError):
        await connect(proxy)
    assert not stopping.done()
    goes_on.set()
    last = await rest(streaming[0])
    assert last.startswith(b"9\r\ndata: 2\n\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert last.count(b"HTTP/1.1") == last.count(b"Connection: close") == 1
    for _, writer in (resting, streaming, starting):
        writer.close()
    async with asyncio.timeout(20):
        await stopping
    assert asked == 1
