"""Straw providers answer as the real ones do, and fall ill as told."""

import asyncio

import aiohttp
import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from openai.types.chat import ChatCompletionMessageParam

from proxy.simulator import Faults, StrawProvider
from tests.conftest import MakeStraw

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
ASK_CLAUDE: list[MessageParam] = [{"role": "user", "content": "hi"}]
WEATHER: ToolParam = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
}


def client_of(straw: StrawProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=straw.base_url, api_key=straw.api_key, max_retries=0)


async def test_it_says_who_it_is(straw: StrawProvider) -> None:
    """The answer names provider and model, whole or streamed, and its usage adds up."""
    async with client_of(straw) as client:
        whole = await client.chat.completions.create(model="m", messages=ASK)
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        completion = await client.completions.create(model="m", prompt="hi")
        names = [model.id async for model in client.models.list()]

    assert whole.choices[0].message.content == streamed == completion.choices[0].text
    assert "from straw, this is m" in streamed
    assert "straw-small" in names
    assert len(straw.requests) == 4
    assert straw.requests[0].completed


async def test_tool_use(straw: StrawProvider) -> None:
    """Given tools, Anthropic's API uses the first, with arguments that its schema accepts."""
    async with anthropic.AsyncAnthropic(base_url=straw.origin, api_key=straw.api_key, max_retries=0) as client:
        whole = await client.messages.create(model="m", max_tokens=5, messages=ASK_CLAUDE, tools=[WEATHER])
        async with client.messages.stream(model="m", max_tokens=5, messages=ASK_CLAUDE, tools=[WEATHER]) as stream:
            streamed = await stream.get_final_message()

    for message in (whole, streamed):
        assert message.stop_reason == "tool_use"
        assert message.content[0].type == "tool_use"
        assert message.content[0].input == {"city": "some city", "days": 1}


async def test_the_same_text_has_the_same_embedding(straw: StrawProvider) -> None:
    """Embeddings depend on the text alone and have the size that was asked for."""
    async with client_of(straw) as client:
        first = await client.embeddings.create(model="m", input=["a", "b"], dimensions=3)
        second = await client.embeddings.create(model="m", input="a", dimensions=3)

    assert first.data[0].embedding == second.data[0].embedding != first.data[1].embedding
    assert len(first.data[0].embedding) == 3


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(error_rate=1.0), openai.InternalServerError),
        (Faults(error_rate=1.0, error_status=404), openai.NotFoundError),
        (Faults(rate_limited=True), openai.RateLimitError),
        (Faults(reset_before_head=True), openai.APIConnectionError),
        (Faults(reset_mid_stream_after=0), openai.APIConnectionError),
    ],
)
async def test_faults_raise_what_the_real_ones_would(
    faults: Faults, expected: type[openai.APIError], straw: StrawProvider
) -> None:
    """Each fault raises the SDK's own exception, and is gone when it is switched off."""
    straw.faults = faults
    async with client_of(straw) as client:
        with pytest.raises(expected):
            await client.chat.completions.create(model="m", messages=ASK)
        straw.faults = Faults()
        assert (await client.chat.completions.create(model="m", messages=ASK)).choices


async def test_a_wrong_key_is_refused_in_each_protocol(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """Each protocol wants the key in its own way and says 401 in its own shape."""
    for path, header, shape in (
        ("/v1/chat/completions", "Authorization", {"message", "type", "param", "code"}),
        ("/v1/messages", "x-api-key", {"type", "message"}),
        ("/v1beta/models/m:generateContent", "x-goog-api-key", {"code", "message", "status"}),
    ):
        for value, status in (("wrong", 401), (straw.api_key, 200)):
            given = f"Bearer {value}" if header == "Authorization" else value
            body = b'{"model": "m", "messages": []}'
            async with http.post(straw.origin + path, data=body, headers={header: given}) as response:
                assert response.status == status
                if status == 401:
                    assert set((await response.json())["error"]) == shape


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


async def test_faults_are_switched_over_http(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """The faults can be replaced while it runs; what is no fault is refused and changes nothing."""
    control = f"{straw.origin}/__straw/faults"
    async with http.put(control, data=b'{"rate_limited": true, "retry_after_s": 3}') as response:
        assert response.status == 200
    assert straw.faults == Faults(rate_limited=True, retry_after_s=3)
    for bad in (b'{"rate_limit": true}', b'{"error_rate": 2}', b"nothing"):
        async with http.put(control, data=bad) as response:
            assert response.status == 400
    assert straw.faults.rate_limited
    async with http.get(f"{straw.origin}/__straw") as response:
        assert (await response.json())["faults"]["retry_after_s"] == 3


async def test_a_stalled_stream_notices_who_leaves(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """A stall lasts until the client gives up, which the provider notices at once."""
    straw.faults = Faults(stall_mid_stream_after=2)
    headers = {"Authorization": f"Bearer {straw.api_key}"}
    body = b'{"model": "m", "messages": [], "stream": true}'
    async with http.post(f"{straw.base_url}/chat/completions", data=body, headers=headers) as response:
        assert await response.content.readany()
        response.close()
    async with asyncio.timeout(5):
        await straw.requests[-1].ended.wait()

    assert not straw.requests[-1].completed
