"""The official SDKs as clients, and what they make of an answer in a few words."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple, Self

import anthropic
import httpx2
import openai

from proxy.errors import Protocol
from tests.faults.scripts import LONG_LINE_BYTES, encodings

ANSWER = "the answer"
NOTHING = "nothing"
HALF = "half of it, then "
# The last is for what an SDK lets through of the HTTP client that it builds on.
_ERRORS = (openai.OpenAIError, anthropic.AnthropicError, httpx2.HTTPError)


class Met(NamedTuple):
    """What a client meets with.

    Attributes:
        gets: the answer, or the exception that its SDK raises, with the status if it has one.
        attempts: how many the answer says there were.
        should_retry: what it says of trying again (`x-should-retry`), if anything.
    """

    gets: str
    attempts: int
    should_retry: str = ""


class Client:
    """Asks one model of a proxy; an async context manager.

    Args:
        origin: the proxy's.
        protocol: whose SDK to use.
        model: what to ask for.
        is_begun: set whenever the head of an answer is here.
    """

    def __init__(self, origin: str, protocol: Protocol, model: str, is_begun: asyncio.Event) -> None:
        self._model = model
        self._is_begun = is_begun
        self._head = httpx2.Headers()
        # Never used; the usual one takes long to make.
        self._http = httpx2.AsyncClient(
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), event_hooks={"response": [self._begin]}
        )
        self._openai: openai.AsyncOpenAI | None = None
        if protocol is Protocol.OPENAI:
            self._openai = openai.AsyncOpenAI(
                base_url=f"{origin}/v1", api_key="x", max_retries=0, http_client=self._http
            )
        else:
            self._claude = anthropic.AsyncAnthropic(base_url=origin, api_key="x", max_retries=0, http_client=self._http)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def _begin(self, response: httpx2.Response) -> None:
        self._head = response.headers
        self._is_begun.set()

    async def ask(self, *, is_stream: bool, is_encoded: bool = False) -> Met:
        """Ask, and take the answer to its end."""
        self._is_begun.clear()
        said = ""
        try:
            if is_encoded:
                said = await self._bytes()
            elif is_stream:
                async with aclosing(self._pieces()) as pieces:
                    async for piece in pieces:
                        said += piece
            else:
                said = await self._whole()
        except _ERRORS as error:
            status = getattr(error, "status_code", None)
            name = type(error).__name__ + (f" {status}" if status else "")
            return self._met(HALF + name if said else name)
        is_whole = said in {"well", ANSWER, "w" * LONG_LINE_BYTES}
        return self._met(ANSWER if is_whole else said or NOTHING)

    def _met(self, gets: str) -> Met:
        return Met(gets, int(self._head["x-pointsman-attempts"]), self._head.get("x-should-retry", ""))

    async def _whole(self) -> str:
        if self._openai is not None:
            # Without a body there is no object, whatever the types say.
            completion: object = await self._openai.chat.completions.create(
                model=self._model, messages=[{"role": "user", "content": "hi"}]
            )
            choices = getattr(completion, "choices", None)
            return str(choices[0].message.content) if choices else ""
        message: object = await self._claude.messages.create(
            model=self._model, max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )
        content = getattr(message, "content", None)
        return str(content[0].text) if content else ""

    async def _pieces(self) -> AsyncGenerator[str]:
        if self._openai is not None:
            async with await self._openai.chat.completions.create(
                model=self._model, messages=[{"role": "user", "content": "hi"}], stream=True
            ) as chunks:
                async for chunk in chunks:
                    yield (chunk.choices[0].delta.content if chunk.choices else None) or ""
            return
        async with await self._claude.messages.create(
            model=self._model, max_tokens=9, messages=[{"role": "user", "content": "hi"}], stream=True
        ) as events:
            async for event in events:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    yield event.delta.text

    async def _bytes(self) -> str:
        """A stream as it came, which is the answer if it is as it was sent: the SDKs themselves can't read them all."""
        assert self._openai is not None
        async with self._openai.chat.completions.with_streaming_response.create(
            model=self._model, messages=[{"role": "user", "content": "hi"}], stream=True
        ) as response:
            body = b"".join([piece async for piece in response.http_response.aiter_raw()])
            return ANSWER if encodings()[response.headers["content-encoding"].encode()] == body else "other bytes"
