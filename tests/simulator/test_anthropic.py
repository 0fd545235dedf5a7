"""Straw speaks Anthropic's API so that Anthropic's own SDK reads it, typed."""

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from proxy.simulator import Faults, StrawProvider

ASK: list[MessageParam] = [{"role": "user", "content": "hi"}]
WEATHER: ToolParam = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
}


def client_of(straw: StrawProvider) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=straw.origin, api_key=straw.api_key, max_retries=0)


async def test_messages(straw: StrawProvider) -> None:
    """The answer names provider and model, and is the same whole and streamed, usage included."""
    async with client_of(straw) as client:
        whole = await client.messages.create(model="m", max_tokens=50, messages=ASK)
        async with client.messages.stream(model="m", max_tokens=50, messages=ASK) as stream:
            pieces = [text async for text in stream.text_stream]
            streamed = await stream.get_final_message()

    assert whole.content[0].type == "text"
    assert "from straw, this is m" in whole.content[0].text
    assert whole.content[0].text == "".join(pieces)
    assert whole.model == streamed.model == "m"
    assert whole.stop_reason == streamed.stop_reason == "end_turn"
    assert whole.usage.output_tokens == streamed.usage.output_tokens == len(pieces)
    assert whole.usage.input_tokens == streamed.usage.input_tokens


async def test_tool_use(straw: StrawProvider) -> None:
    """Given tools, the first is used, with arguments that its schema accepts."""
    async with client_of(straw) as client:
        whole = await client.messages.create(model="m", max_tokens=50, messages=ASK, tools=[WEATHER])
        async with client.messages.stream(model="m", max_tokens=50, messages=ASK, tools=[WEATHER]) as stream:
            streamed = await stream.get_final_message()

    for message in (whole, streamed):
        assert message.stop_reason == "tool_use"
        assert message.content[0].type == "tool_use"
        assert message.content[0].input == {"city": "some city", "days": 1}


async def test_a_tools_result_is_answered_in_words(straw: StrawProvider) -> None:
    """Once the tool has answered, straw answers in words: a loop of uses ends."""
    result: MessageParam = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}],
    }
    async with client_of(straw) as client:
        answer = await client.messages.create(model="m", max_tokens=50, messages=[*ASK, result], tools=[WEATHER])

    assert answer.stop_reason == "end_turn"


async def test_count_tokens(straw: StrawProvider) -> None:
    """More text has more tokens."""
    async with client_of(straw) as client:
        few = await client.messages.count_tokens(model="m", messages=ASK)
        many = await client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi " * 100}])

    assert 0 < few.input_tokens < many.input_tokens


@pytest.mark.parametrize(
    ("faults", "expected", "kind"),
    [
        (Faults(rate_limited=True, retry_after_s=7), anthropic.RateLimitError, "rate_limit_error"),
        (Faults(error_rate=1, error_status=500), anthropic.InternalServerError, "api_error"),
        (Faults(error_rate=1, error_status=529), anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_errors_in_its_own_shape(
    faults: Faults, expected: type[anthropic.APIStatusError], kind: str, straw: StrawProvider
) -> None:
    """A fault's error has Anthropic's type and request id."""
    straw.faults = faults
    async with client_of(straw) as client:
        with pytest.raises(expected) as raised:
            await client.messages.create(model="m", max_tokens=50, messages=ASK)

    assert isinstance(raised.value.body, dict)
    assert raised.value.body["error"]["type"] == kind
    assert raised.value.body["request_id"] == raised.value.request_id
    retry_after = None if faults.retry_after_s is None else str(faults.retry_after_s)
    assert raised.value.response.headers.get("retry-after") == retry_after


async def test_a_wrong_key_is_refused(straw: StrawProvider) -> None:
    """A wrong key raises the SDK's own error; the right one may come as a bearer too."""
    async with client_of(straw).with_options(api_key="wrong") as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(model="m", max_tokens=50, messages=ASK)
    async with anthropic.AsyncAnthropic(base_url=straw.origin, auth_token=straw.api_key, max_retries=0) as client:
        assert (await client.messages.create(model="m", max_tokens=50, messages=ASK)).content
