"""An answer reaches the client as the provider sends it, and looks broken exactly if it is."""

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import anthropic
import openai
import pytest

from proxy.app import Proxy
from tests.conftest import MakeProxy, url
from tests.gateway.scripted_provider import EVENTS, HEAD, Connection, Script, ScriptedProvider

ASK = {"model": "provider:m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
EVENT = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'

Setup = Callable[..., Awaitable[Proxy]]


@pytest.fixture
async def behind(make_proxy: MakeProxy) -> AsyncIterator[Setup]:
    """A proxy in front of a provider that follows a script."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, **timeouts: float) -> Proxy:
            provider = await stack.enter_async_context(ScriptedProvider(script))
            return await make_proxy(providers={"provider": {**provider.section, "timeouts": timeouts}})

        yield start


async def test_head_and_chunks_pass_at_once(behind: Setup, http: aiohttp.ClientSession) -> None:
    """The head arrives before any body, and each event before the next was even sent."""
    seen = asyncio.Semaphore(0)

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        for number in range(3):
            await seen.acquire()
            await connection.send_chunk(b"data: %d\n\n" % number)
        await connection.send_chunk(b"")

    proxy = await behind(script)
    async with asyncio.timeout(10), http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
        for number in range(3):
            seen.release()
            assert await response.content.readany() == b"data: %d\n\n" % number
        assert await response.content.readany() == b""


@pytest.mark.parametrize("framing", ["chunks", "length"])
@pytest.mark.parametrize("size", [9, 16 * 1024, 16 * 1024 + 1, 200_000])
async def test_the_last_piece_may_come_with_the_end(
    size: int, framing: str, behind: Setup, http: aiohttp.ClientSession
) -> None:
    """An answer that comes to its end with its last piece, however large, arrives whole, and so does the next one."""
    last = bytes(range(256)) * (size // 256) + b"." * (size % 256)
    head_seen = asyncio.Semaphore(0)

    async def script(connection: Connection) -> None:
        if framing == "length":
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        else:
            await connection.send(EVENTS)
        await head_seen.acquire()
        await connection.send(last if framing == "length" else b"%x\r\n%b\r\n0\r\n\r\n" % (size, last))

    proxy = await behind(script)
    for _ in range(2):
        async with asyncio.timeout(10), http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
            head_seen.release()
            assert await response.read() == last


async def test_client_that_leaves_closes_the_provider(behind: Setup, http: aiohttp.ClientSession) -> None:
    """A client that goes away, before the head or in mid-stream, ends the provider's work within a second."""
    left: asyncio.Queue[str] = asyncio.Queue()
    asked = asyncio.Event()

    async def silent(connection: Connection) -> None:
        asked.set()
        await connection.closed()
        left.put_nowait("before the head")

    async def streaming(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(EVENT)
        await connection.closed()
        left.put_nowait("mid-stream")

    proxy = await behind(silent)
    waiting = asyncio.create_task(http.post(url(proxy, "/v1/chat/completions"), json=ASK).__aenter__())
    await asked.wait()
    waiting.cancel()
    async with asyncio.timeout(1):
        assert await left.get() == "before the head"

    proxy = await behind(streaming)
    async with http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
        await response.content.readany()
        response.close()
    async with asyncio.timeout(1):
        assert await left.get() == "mid-stream"


async def cut_after_event(connection: Connection) -> None:
    await connection.send(EVENTS)
    await connection.send_chunk(EVENT)
    connection.reset()


async def cut_within_event(connection: Connection) -> None:
    await connection.send(EVENTS)
    await connection.send_chunk(EVENT + EVENT[:20])
    connection.reset()


async def clean_close_without_end(connection: Connection) -> None:
    await connection.send(EVENTS)
    await connection.send_chunk(EVENT)


async def short_body(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")


@pytest.mark.parametrize("script", [cut_after_event, cut_within_event, clean_close_without_end, short_body])
async def test_a_broken_answer_never_ends_cleanly(script: Script, behind: Setup, http: aiohttp.ClientSession) -> None:
    """However a provider breaks off, the client's connection is cut instead of ended."""
    proxy = await behind(script)
    async with http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_bad_framing_is_a_broken_answer(behind: Setup, http: aiohttp.ClientSession) -> None:
    """A chunk size that is none breaks the answer, before the head with a 502 and after it with a cut."""
    head_arrived = asyncio.Event()

    async def late(connection: Connection) -> None:
        await connection.send(HEAD % b"application/json")
        await head_arrived.wait()
        await connection.send(b"zz\r\n")

    async def early(connection: Connection) -> None:
        await connection.send(HEAD % b"application/json" + b"zz\r\n")

    # The HTTP client stops reading at such a chunk without saying so: the idle limit ends it.
    async with http.post(url(await behind(late, idle_s=0.1), "/v1/chat/completions"), json=ASK) as response:
        head_arrived.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    async with http.post(url(await behind(early), "/v1/chat/completions"), json=ASK) as response:
        assert response.status == 502


@pytest.mark.parametrize("script", [cut_after_event, cut_within_event, clean_close_without_end])
async def test_sdks_raise_on_a_broken_stream(script: Script, behind: Setup) -> None:
    """OpenAI's SDK raises on a stream that breaks; at the end of an event with what happened."""
    proxy = await behind(script)
    async with openai.AsyncOpenAI(base_url=url(proxy, "/v1"), api_key="x", max_retries=0) as client:
        stream = await client.chat.completions.create(**ASK)  # type: ignore[call-overload] # built from a dict
        with pytest.raises(openai.APIError) as broken:
            await drain(stream)

    # In the middle of an event nothing can be said any more: the connection is only cut.
    assert isinstance(broken.value, openai.APIConnectionError) == (script is cut_within_event)


async def until_cut(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The pieces of a body that doesn't come to its end."""
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except aiohttp.ClientPayloadError:
        return
    pytest.fail("the answer ended cleanly")


async def drain(stream: AsyncIterable[object]) -> None:
    """Read a stream to its end."""
    async for _ in stream:
        pass


async def test_anthropic_sdk_raises_on_a_broken_stream(behind: Setup) -> None:
    """Anthropic's SDK gets its own kind of error event."""

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(b'event: ping\ndata: {"type": "ping"}\n\n')
        connection.reset()

    proxy = await behind(script)
    async with anthropic.AsyncAnthropic(base_url=url(proxy), api_key="x", max_retries=0) as client:
        stream = await client.messages.create(**ASK, max_tokens=5)  # type: ignore[call-overload] # built from a dict
        with pytest.raises(anthropic.APIError, match="broke off"):
            await drain(stream)


async def test_compressed_stream_gets_no_plain_error(behind: Setup, http: aiohttp.ClientSession) -> None:
    """Nothing is added to a compressed stream that breaks: it is only cut."""

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"))
        await connection.send_chunk(b"\x1f\x8b\n\n")
        connection.reset()

    proxy = await behind(script)
    async with http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
        assert await response.content.readany() == b"\x1f\x8b\n\n"
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readany()


async def test_first_byte_limit(behind: Setup, http: aiohttp.ClientSession) -> None:
    """A provider that stays silent is given up with 504 and `timeout`, and its connection is closed."""
    closed = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.closed()
        closed.set()

    proxy = await behind(script, first_byte_s=0.05)
    async with http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
        error = (await response.json())["error"]

    assert response.status == 504
    assert error["code"] == "timeout"
    assert "0.05 s" in error["message"]
    async with asyncio.timeout(1):
        await closed.wait()


async def test_idle_limit(behind: Setup, http: aiohttp.ClientSession) -> None:
    """A stream that stalls is ended with an error event and a cut."""

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(EVENT)
        await connection.closed()

    proxy = await behind(script, idle_s=0.05)
    async with http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
        received = b"".join([chunk async for chunk in until_cut(response)])

    event = json.loads(received.removeprefix(EVENT).removeprefix(b"data: "))
    assert event["error"]["code"] == "timeout"


async def test_slow_reader_slows_the_provider(behind: Setup) -> None:
    """Backpressure goes through: a client that reads nothing stops the provider after a few buffers."""
    sent = 0
    stalled = asyncio.Event()

    async def script(connection: Connection) -> None:
        nonlocal sent
        await connection.send(HEAD % b"application/octet-stream")
        piece = b"x" * 65536
        try:
            async with asyncio.timeout(None) as stall:
                while True:
                    stall.reschedule(asyncio.get_running_loop().time() + 0.5)
                    await connection.send_chunk(piece)
                    sent += len(piece)
        except TimeoutError:
            stalled.set()
            await connection.closed()

    proxy = await behind(script)
    body = json.dumps(ASK).encode()
    reader, writer = await asyncio.open_connection(proxy.address.host, proxy.address.port, limit=1024)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await reader.readline()
    async with asyncio.timeout(20):
        await stalled.wait()
    writer.close()
    await writer.wait_closed()

    assert sent < 32 * 1024 * 1024


async def test_answers_without_a_body_and_without_framing(behind: Setup, http: aiohttp.ClientSession) -> None:
    """204 stays empty; a body that ends with its connection is relayed whole."""

    async def script(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def unframed(connection: Connection) -> None:
        await connection.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}")

    for answer, status, body in ((script, 204, b""), (unframed, 200, b"{}")):
        proxy = await behind(answer)
        async with http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
            assert (response.status, await response.read()) == (status, body)
