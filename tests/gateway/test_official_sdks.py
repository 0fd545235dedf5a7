"""The official SDKs work through the proxy as they do against the provider: typed results, their own exceptions."""

from collections.abc import AsyncIterable, AsyncIterator

import anthropic
import openai
import pytest
from anthropic.types import MessageParam
from google import genai
from google.genai import types as genai_types
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from proxy.app import Proxy
from proxy.simulator import Faults, StrawProvider
from tests.conftest import url

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Where am I?"}]
CLAUDE_MESSAGES: list[MessageParam] = [{"role": "user", "content": "Where am I?"}]
WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=url(proxy, "/v1"), api_key="client-key", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(proxy: Proxy) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=url(proxy), api_key="client-key", max_retries=0) as client:
        yield client


async def test_openai_chat(client: openai.AsyncOpenAI) -> None:
    """A chat completion comes back typed, answered by the route's target."""
    completion = await client.chat.completions.create(model="fast", messages=MESSAGES)

    assert completion.model == "straw-small"
    assert "straw" in (completion.choices[0].message.content or "")
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_openai_synchronous_client(sync_proxy: str) -> None:
    """The synchronous client works as well, streaming and not."""
    with openai.OpenAI(base_url=f"{sync_proxy}/v1", api_key="client-key", max_retries=0) as client:
        whole = client.chat.completions.create(model="fast", messages=MESSAGES)
        with client.chat.completions.create(model="fast", messages=MESSAGES, stream=True) as stream:
            streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    assert streamed == whole.choices[0].message.content


async def test_openai_chat_stream(client: openai.AsyncOpenAI) -> None:
    """A stream comes back in chunks; usage only where it was asked for."""
    stream = await client.chat.completions.create(model="fast", messages=MESSAGES, stream=True)
    chunks = [chunk async for chunk in stream]
    with_usage = await client.chat.completions.create(
        model="fast", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    counted = [chunk async for chunk in with_usage]

    assert len(chunks) > 3
    assert all(chunk.usage is None for chunk in chunks)
    assert counted[-1].usage is not None
    assert counted[-1].choices == []


async def test_openai_tools(client: openai.AsyncOpenAI) -> None:
    """A tool call comes back typed, streaming and not."""
    whole = await client.chat.completions.create(model="fast", messages=MESSAGES, tools=[WEATHER])
    stream = await client.chat.completions.create(model="fast", messages=MESSAGES, tools=[WEATHER], stream=True)
    names = [
        call.function.name
        async for chunk in stream
        for choice in chunk.choices
        for call in choice.delta.tool_calls or []
        if call.function and call.function.name
    ]

    assert whole.choices[0].message.tool_calls is not None
    [call] = whole.choices[0].message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert names == ["get_weather"]


async def test_openai_embeddings(client: openai.AsyncOpenAI) -> None:
    """Embeddings come back as floats, one a text."""
    answer = await client.embeddings.create(model="fast", input=["a", "b"])

    assert [entry.index for entry in answer.data] == [0, 1]
    assert all(isinstance(number, float) for number in answer.data[0].embedding)


async def test_openai_responses(client: openai.AsyncOpenAI) -> None:
    """The Responses API works, streaming and not."""
    whole = await client.responses.create(model="fast", input="Where am I?")
    async with await client.responses.create(model="fast", input="Where am I?", stream=True) as stream:
        events = [event async for event in stream]

    assert "straw" in whole.output_text
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"


async def test_openai_models_list(client: openai.AsyncOpenAI) -> None:
    """Every routable name is listed, and one can be looked at."""
    listed = [model async for model in client.models.list()]
    one = await client.models.retrieve("fast")

    assert [model.id for model in listed] == ["fast"]
    assert one.owned_by == "straw"


async def test_openai_audio_upload(client: openai.AsyncOpenAI, straw: StrawProvider) -> None:
    """A file of 3 MB arrives whole at the provider, with the model renamed in the form."""
    answer = await client.audio.transcriptions.create(model="fast", file=("a.wav", b"\0" * 3_000_000))

    assert answer.text == "I heard a file of 3000000 bytes."
    assert b"straw-small" in straw.requests[-1].body


async def test_unknown_model_is_not_found(client: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic) -> None:
    """An unknown model raises NotFoundError in both SDKs and suggests the closest name."""
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="fsat", messages=MESSAGES)
    with pytest.raises(anthropic.NotFoundError) as claude_unknown:
        await claude.messages.create(model="fsat", max_tokens=5, messages=CLAUDE_MESSAGES)

    assert unknown.value.code == "model_not_found"
    assert unknown.value.param == "model"
    assert "`fast`" in unknown.value.message
    assert unknown.value.request_id
    assert "`fast`" in claude_unknown.value.message


async def test_provider_errors_are_passed_on(client: openai.AsyncOpenAI, straw: StrawProvider) -> None:
    """A provider's own errors raise what they raise without the proxy, Retry-After included."""
    straw.faults = Faults(error_rate=1.0, error_status=500)
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="fast", messages=MESSAGES)
    straw.faults = Faults(rate_limited=True, retry_after_s=7)
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(model="fast", messages=MESSAGES)
    straw.api_key = "another"
    straw.faults = Faults()
    with pytest.raises(openai.AuthenticationError):
        await client.chat.completions.create(model="fast", messages=MESSAGES)

    assert limited.value.response.headers["retry-after"] == "7"


async def test_broken_stream_raises(
    client: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, straw: StrawProvider
) -> None:
    """A provider that dies in the middle of a stream raises in both SDKs, and what came before it was there."""
    straw.faults = Faults(reset_mid_stream_after=4)

    stream = await client.chat.completions.create(model="fast", messages=MESSAGES, stream=True)
    seen: list[object] = []
    with pytest.raises(openai.APIError, match="broke off"):
        await collect(stream, seen)
    claude_stream = await claude.messages.create(model="fast", max_tokens=50, messages=CLAUDE_MESSAGES, stream=True)
    with pytest.raises(anthropic.APIError, match="broke off"):
        await collect(claude_stream, [])

    assert seen


async def collect(stream: AsyncIterable[object], seen: list[object]) -> None:
    """Read a stream to its end, keeping what came."""
    async for item in stream:
        seen += [item]


async def test_unreachable_provider(client: openai.AsyncOpenAI, straw: StrawProvider) -> None:
    """A provider that can't be reached is the proxy's own 502."""
    await straw.stop()

    with pytest.raises(openai.InternalServerError) as broken:
        await client.chat.completions.create(model="fast", messages=MESSAGES)

    assert broken.value.status_code == 502
    assert broken.value.code == "upstream_error"


async def test_anthropic_messages(claude: anthropic.AsyncAnthropic) -> None:
    """Messages, streams and token counts come back typed, in Anthropic's own protocol."""
    message = await claude.messages.create(model="fast", max_tokens=50, messages=CLAUDE_MESSAGES)
    async with claude.messages.stream(model="fast", max_tokens=50, messages=CLAUDE_MESSAGES) as stream:
        streamed = await stream.get_final_message()
    counted = await claude.messages.count_tokens(model="fast", messages=CLAUDE_MESSAGES)

    assert message.model == streamed.model == "straw-small"
    assert message.content[0].type == "text"
    assert streamed.content[0].type == "text"
    assert streamed.content[0].text == message.content[0].text
    assert counted.input_tokens > 0


async def test_anthropic_models_list(claude: anthropic.AsyncAnthropic) -> None:
    """Anthropic's SDK reads the same list of models."""
    assert [model.id async for model in claude.models.list()] == ["fast"]


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # of Google's SDK, which uses aiohttp so
async def test_gemini_generate_content(proxy: Proxy) -> None:
    """Google's SDK, which names the model in the path, works streaming and not."""
    client = genai.Client(
        api_key="client-key", http_options=genai_types.HttpOptions(base_url=url(proxy), api_version="v1beta")
    )
    answer = await client.aio.models.generate_content(model="fast", contents="Where am I?")
    stream = await client.aio.models.generate_content_stream(model="fast", contents="Where am I?")
    pieces = [piece.text async for piece in stream]
    await client.aio.aclose()

    assert "straw" in (answer.text or "")
    assert "".join(piece or "" for piece in pieces) == answer.text
