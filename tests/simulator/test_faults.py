"""Straw providers fall ill as told, and are seen to on the wire and through the SDK."""

import asyncio
import time

import aiohttp
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from proxy.simulator import Faults, StrawProvider
from tests.conftest import MakeStraw
from tests.simulator.wire import LIMIT_S, chat_request, connect, read_until_reset

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def open_straw(make_straw: MakeStraw) -> StrawProvider:
    """A provider that wants no key, for clients of bare bytes."""
    return await make_straw(api_key="")


def client_of(straw: StrawProvider, *, timeout_s: float = LIMIT_S) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=straw.base_url, api_key=straw.api_key, max_retries=0, timeout=timeout_s)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(error_rate=1), openai.InternalServerError),
        (Faults(error_rate=1, error_status=503), openai.InternalServerError),
        (Faults(error_rate=1, error_status=404), openai.NotFoundError),
        (Faults(rate_limited=True), openai.RateLimitError),
        (Faults(reset_before_head=True), openai.APIConnectionError),
        (Faults(reset_mid_stream_after=0), openai.APIConnectionError),
        (Faults(first_byte_stall_s=3600), openai.APITimeoutError),
        (Faults(latency_ms=3_600_000), openai.APITimeoutError),
    ],
)
async def test_the_sdk_raises_what_the_real_ones_would_make_it(
    faults: Faults, expected: type[openai.APIError], straw: StrawProvider
) -> None:
    """Each fault raises the SDK's own exception, and is gone when it is switched off."""
    straw.faults = faults
    async with client_of(straw, timeout_s=0.3) as client:
        with pytest.raises(expected) as raised:
            await client.chat.completions.create(model="m", messages=ASK)
        straw.faults = Faults()
        answer = await client.with_options(timeout=LIMIT_S).chat.completions.create(model="m", messages=ASK)

    assert type(raised.value) is expected
    assert answer.choices


def test_the_blocking_sdk_too(sync_straw: StrawProvider) -> None:
    """A client that blocks sees the same: an answer, a stream, an error with its `Retry-After`."""
    with openai.OpenAI(base_url=sync_straw.base_url, api_key="any", max_retries=0) as client:
        assert client.chat.completions.create(model="m", messages=ASK).choices
        assert len(list(client.chat.completions.create(model="m", messages=ASK, stream=True))) > 2
        sync_straw.faults = Faults(rate_limited=True, retry_after_s=7)
        with pytest.raises(openai.RateLimitError) as limited:
            client.chat.completions.create(model="m", messages=ASK)

    assert limited.value.response.headers["retry-after"] == "7"


async def test_a_reset_before_the_head_is_a_reset(open_straw: StrawProvider) -> None:
    """No byte comes back but an RST, as from a crashed server, rather than an orderly end."""
    open_straw.faults = Faults(reset_before_head=True)
    reader, writer = await connect(open_straw)
    writer.write(chat_request(stream=False))

    assert await read_until_reset(reader) == b""
    writer.close()


@pytest.mark.parametrize("events", [0, 1, 5])
async def test_a_reset_mid_stream_comes_after_so_many_events(events: int, open_straw: StrawProvider) -> None:
    """The head and exactly that many events arrive before the RST."""
    open_straw.faults = Faults(reset_mid_stream_after=events)
    reader, writer = await connect(open_straw)
    writer.write(chat_request(stream=True))
    received = await read_until_reset(reader)
    writer.close()

    assert received.startswith(b"HTTP/1.1 200")
    assert received.count(b"data: ") == events
    assert not received.endswith(b"0\r\n\r\n")


async def test_an_answer_in_one_piece_is_reset_in_its_middle(open_straw: StrawProvider) -> None:
    """Less than `Content-Length` says arrives, but something."""
    open_straw.faults = Faults(reset_mid_stream_after=0)
    reader, writer = await connect(open_straw)
    writer.write(chat_request(stream=False))
    head, _, body = (await read_until_reset(reader)).partition(b"\r\n\r\n")
    writer.close()

    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert 0 < len(body) < length


async def test_a_broken_stream_raises_in_the_sdk(straw: StrawProvider) -> None:
    """The events before the reset are read, then iterating raises."""
    straw.faults = Faults(reset_mid_stream_after=4)
    read = 0
    async with client_of(straw) as client:
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        with pytest.raises(openai.APIConnectionError):  # noqa: PT012 - it is the iteration that raises
            async for _ in stream:
                read += 1

    assert read == 4


async def test_a_stalled_stream_notices_who_leaves(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """A stall lasts until the client gives up, which the provider notices within a second."""
    straw.faults = Faults(stall_mid_stream_after=2)
    headers = {"Authorization": f"Bearer {straw.api_key}"}
    body = b'{"model": "m", "messages": [], "stream": true}'
    async with http.post(f"{straw.base_url}/chat/completions", data=body, headers=headers) as response:
        assert (await response.content.readuntil(b"\n\n")).startswith(b"data: ")
        assert (await response.content.readuntil(b"\n\n")).startswith(b"data: ")
        assert not straw.requests[-1].ended.is_set()
        response.close()
    async with asyncio.timeout(1):
        await straw.requests[-1].ended.wait()

    assert not straw.requests[-1].completed
    assert straw.counters.aborted == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_silent_provider_notices_who_leaves(stream: bool, open_straw: StrawProvider) -> None:
    """A client that leaves before the head is noticed within a second."""
    open_straw.faults = Faults(first_byte_stall_s=3600)
    _, writer = await connect(open_straw)
    writer.write(chat_request(stream=stream))
    async with asyncio.timeout(LIMIT_S):
        seen = await open_straw.received(1)
    writer.close()
    async with asyncio.timeout(1):
        await seen.ended.wait()

    assert not seen.completed


async def test_a_client_that_leaves_within_its_body_is_seen(open_straw: StrawProvider) -> None:
    """A request whose body never ends is recorded with its head, and ends when the client goes."""
    _, writer = await connect(open_straw)
    writer.write(chat_request(stream=False)[:-5])
    async with asyncio.timeout(LIMIT_S):
        seen = await open_straw.received(1)
        writer.close()
        await seen.ended.wait()

    assert seen.path == "/v1/chat/completions"
    assert not seen.completed


async def test_drip_slows_a_stream(straw: StrawProvider) -> None:
    """The pause between events is the drip's: so many events take so long at least."""
    straw.faults = Faults(drip_ms=10)
    async with client_of(straw) as client:
        began = time.monotonic()
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        chunks = [chunk async for chunk in stream]
        took_s = time.monotonic() - began

    assert took_s >= 0.010 * len(chunks)


async def test_latency_delays_the_head(straw: StrawProvider) -> None:
    """An answer takes at least the latency, and is otherwise well."""
    straw.faults = Faults(latency_ms=50)
    async with client_of(straw) as client:
        began = time.monotonic()
        answer = await client.chat.completions.create(model="m", messages=ASK)
        took_s = time.monotonic() - began

    assert answer.choices
    assert took_s >= 0.050


async def test_error_rate_is_a_share(make_straw: MakeStraw, http: aiohttp.ClientSession) -> None:
    """About the given share of requests fails, the same ones for the same seed."""

    async def statuses() -> list[int]:
        straw = await make_straw(api_key="", seed=7)
        straw.faults = Faults(error_rate=0.3)
        seen = []
        for _ in range(100):
            async with http.post(f"{straw.base_url}/embeddings", data=b'{"model": "m", "input": "x"}') as response:
                seen.append(response.status)
        return seen

    first = await statuses()
    assert 15 <= first.count(500) <= 45
    assert first == await statuses()
