"""Straw speaks Gemini's API: whole, as a JSON array, and as events."""

import json

import aiohttp
import pytest

from proxy.simulator import StrawProvider

BODY = json.dumps({"contents": [{"parts": [{"text": "hi"}]}]}).encode()


async def ask(
    straw: StrawProvider, http: aiohttp.ClientSession, method: str, *, key: str | None = None
) -> tuple[int, bytes]:
    headers = {"x-goog-api-key": straw.api_key if key is None else key}
    async with http.post(f"{straw.origin}/v1beta/models/m:{method}", data=BODY, headers=headers) as response:
        return response.status, await response.read()


async def test_the_same_answer_in_every_form(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """The text is the same whole, as an array and as events, and so is the usage at the end."""
    whole = json.loads((await ask(straw, http, "generateContent"))[1])
    array = json.loads((await ask(straw, http, "streamGenerateContent"))[1])
    events = (await ask(straw, http, "streamGenerateContent?alt=sse"))[1]
    told = [json.loads(event.removeprefix(b"data: ")) for event in events.split(b"\r\n\r\n") if event]

    def text(answer: dict[str, list[dict[str, dict[str, list[dict[str, str]]]]]]) -> str:
        return answer["candidates"][0]["content"]["parts"][0]["text"]

    assert "from straw, this is m" in text(whole)
    assert text(whole) == "".join(map(text, array)) == "".join(map(text, told))
    assert whole["usageMetadata"] == array[-1]["usageMetadata"] == told[-1]["usageMetadata"]
    assert whole["modelVersion"] == "m"
    assert [answer["candidates"][0].get("finishReason") for answer in array[-2:]] == [None, "STOP"]


async def test_an_unknown_method_is_not_found(straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """What is no method of a model is a 404 in Google's shape."""
    status, body = await ask(straw, http, "sing")

    assert status == 404
    assert json.loads(body)["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("in_header", "in_query", "expected"), [(True, False, 200), (False, True, 200), (False, False, 401)]
)
async def test_the_key_comes_in_header_or_query(
    in_header: bool, in_query: bool, expected: int, straw: StrawProvider, http: aiohttp.ClientSession
) -> None:
    """The key is taken from either place, and missed in both."""
    query = f"?key={straw.api_key}" if in_query else ""
    status, body = await ask(straw, http, f"generateContent{query}", key=straw.api_key if in_header else "wrong")

    assert status == expected
    if status == 401:
        assert json.loads(body)["error"] == {
            "code": 401,
            "message": "Incorrect API key provided",
            "status": "UNAUTHENTICATED",
        }
