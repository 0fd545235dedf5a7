"""Straw speaks OpenAI's API so that OpenAI's own SDK reads it, typed."""

import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.responses import ResponseCompletedEvent, ResponseTextDeltaEvent

from proxy.simulator import StrawProvider

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["C", "F"]},
            },
        },
    },
}
ARGUMENTS = {"city": "some city", "days": 1, "unit": "C"}


def client_of(straw: StrawProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=straw.base_url, api_key=straw.api_key, max_retries=0)


async def test_it_says_who_it_is(straw: StrawProvider) -> None:
    """The answer names provider and model, is the same whole and streamed, and the model is the one asked for."""
    async with client_of(straw) as client:
        whole = await client.chat.completions.create(model="m", messages=ASK)
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        chunks = [chunk async for chunk in stream]

    assert whole.model == chunks[0].model == "m"
    assert whole.choices[0].message.content == "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "from straw, this is m" in str(whole.choices[0].message.content)
    assert whole.choices[0].finish_reason == chunks[-1].choices[0].finish_reason == "stop"


async def test_usage_is_told_when_asked_for(straw: StrawProvider) -> None:
    """`include_usage` adds one last chunk without choices; it says the same as a whole answer, and counts the tokens."""
    async with client_of(straw) as client:
        whole = await client.chat.completions.create(model="m", messages=ASK)
        stream = await client.chat.completions.create(
            model="m", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = [chunk async for chunk in stream]

    assert last.choices == []
    assert last.usage is not None
    assert last.usage == whole.usage
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
    assert last.usage.completion_tokens == sum(1 for chunk in chunks if chunk.choices[0].delta.content)
    assert all(chunk.usage is None for chunk in chunks)


async def test_tool_call(straw: StrawProvider) -> None:
    """Given tools, the first is called with arguments that its schema accepts, streamed in pieces."""
    async with client_of(straw) as client:
        whole = await client.chat.completions.create(model="m", messages=ASK, tools=[WEATHER])
        stream = await client.chat.completions.create(model="m", messages=ASK, tools=[WEATHER], stream=True)
        deltas = [call for chunk in [c async for c in stream] for call in chunk.choices[0].delta.tool_calls or ()]

    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.tool_calls is not None
    (call,) = whole.choices[0].message.tool_calls
    assert call.type == "function"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == ARGUMENTS
    assert deltas[0].id is not None
    assert deltas[0].function is not None
    assert deltas[0].function.name == "weather"
    pieces = [delta.function.arguments or "" for delta in deltas[1:] if delta.function]
    assert len(pieces) > 1
    assert json.loads("".join(pieces)) == ARGUMENTS


@pytest.mark.parametrize(
    "last", [{"role": "tool", "tool_call_id": "call_1", "content": "sunny"}, {"role": "assistant", "content": "so"}]
)
async def test_a_tool_is_called_only_for_the_user(last: ChatCompletionMessageParam, straw: StrawProvider) -> None:
    """Once the tool has answered, straw answers in words: a loop of calls ends."""
    async with client_of(straw) as client:
        answer = await client.chat.completions.create(model="m", messages=[*ASK, last], tools=[WEATHER])

    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.tool_calls is None


async def test_legacy_completions(straw: StrawProvider) -> None:
    """Completions give the same text, whole and streamed."""
    async with client_of(straw) as client:
        whole = await client.completions.create(model="m", prompt="hi")
        stream = await client.completions.create(model="m", prompt="hi", stream=True)
        streamed = "".join([chunk.choices[0].text async for chunk in stream])

    assert whole.choices[0].text == streamed
    assert "this is m" in streamed


async def test_responses(straw: StrawProvider) -> None:
    """A response's events are numbered from 0, and its deltas make the text that the whole one has."""
    async with client_of(straw) as client:
        whole = await client.responses.create(model="m", input="hi")
        stream = await client.responses.create(model="m", input="hi", stream=True)
        events = [event async for event in stream]

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert whole.output_text == "".join(event.delta for event in events if isinstance(event, ResponseTextDeltaEvent))
    assert isinstance(events[-1], ResponseCompletedEvent)
    assert events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage == whole.usage


async def test_embeddings(straw: StrawProvider) -> None:
    """Embeddings depend on the text alone, have the size asked for, and are the same numbers in either encoding."""
    async with client_of(straw) as client:
        both = await client.embeddings.create(model="m", input=["a", "b"], dimensions=3, encoding_format="float")
        # Without a format the SDK asks for base64, and decodes it.
        one = await client.embeddings.create(model="m", input="a", dimensions=3)
        of_tokens = await client.embeddings.create(model="m", input=[1, 2, 3])

    assert [len(item.embedding) for item in both.data] == [3, 3]
    assert both.data[0].embedding != both.data[1].embedding
    assert one.data[0].embedding == pytest.approx(both.data[0].embedding, abs=1e-6)
    assert len(of_tokens.data) == 1


async def test_transcription_tells_the_files_size(straw: StrawProvider) -> None:
    """The file is found among the form's fields, and measured in bytes whatever it holds."""
    audio = b"\r\n--no boundary\r\n\r\n" * 1000
    async with client_of(straw) as client:
        answer = await client.audio.transcriptions.create(model="m", file=("a.wav", audio), prompt="x" * 100_000)

    assert str(len(audio)) in answer.text


async def test_models(straw: StrawProvider) -> None:
    """Models are listed and had one by one; the SDK raises its own error for one that isn't there."""
    async with client_of(straw) as client:
        names = [model.id async for model in client.models.list()]
        assert (await client.models.retrieve(names[0])).owned_by == "straw"
        with pytest.raises(openai.NotFoundError) as missing:
            await client.models.retrieve("nope")

    assert missing.value.code == "model_not_found"
    assert missing.value.request_id is not None


@pytest.mark.parametrize(
    ("path", "body", "at_fault"),
    [
        ("/chat/completions", {"messages": []}, "model"),
        ("/chat/completions", {"model": "m", "messages": "hi"}, "$.messages"),
        ("/chat/completions", {"model": "m", "messages": [1]}, "$.messages[0]"),
        ("/chat/completions", {"model": "m", "stream_options": 3}, "$.stream_options"),
        ("/embeddings", {"model": "m", "input": "x", "dimensions": "many"}, "$.dimensions"),
        ("/responses", {"model": "m", "tools": 5}, "$.tools"),
        ("/audio/transcriptions", {"model": "m"}, "multipart"),
    ],
)
async def test_a_bad_field_is_named(path: str, body: dict[str, Any], at_fault: str, straw: StrawProvider) -> None:
    """What the API can't read is refused with 400 and the place of the fault."""
    async with client_of(straw) as client:
        with pytest.raises(openai.BadRequestError, match=at_fault.replace("$", r"\$").replace("[", r"\[")):
            await client.post(path, body=body, cast_to=object)


@pytest.mark.parametrize("body", [b"no JSON", b"\xff", b'{"model": "\xff"}', b'{"model": "m", "x": ' + b"[" * 100_000])
async def test_what_is_no_json_is_refused(body: bytes, straw: StrawProvider) -> None:
    """Bytes that are no JSON, or that are nested without end, are a 400."""
    async with client_of(straw) as client:
        with pytest.raises(openai.BadRequestError, match="JSON"):
            await client.post("/chat/completions", content=body, cast_to=object)


async def test_a_wrong_key_is_refused(straw: StrawProvider) -> None:
    """A wrong key raises the SDK's own error; the right one must come as a bearer."""
    async with client_of(straw).with_options(api_key="wrong") as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.chat.completions.create(model="m", messages=ASK)
        with pytest.raises(openai.AuthenticationError):
            await client.models.list(extra_headers={"Authorization": straw.api_key})

    assert refused.value.code == "invalid_api_key"


async def test_head_of_an_answer(straw: StrawProvider) -> None:
    """Each answer has an id of its own and tells the rate limits."""
    async with client_of(straw) as client:
        first, second = [
            await client.chat.completions.with_raw_response.create(model="m", messages=ASK) for _ in range(2)
        ]

    assert first.request_id != second.request_id
    assert int(first.headers["x-ratelimit-remaining-requests"]) < int(first.headers["x-ratelimit-limit-requests"])
