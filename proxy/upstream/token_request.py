"""The smallest request that tells what a client's would: for a single token, in the provider's own way.

It takes no place among the requests that the provider may have at once (`concurrency`), and is in no metric.
"""

import asyncio
from typing import NamedTuple

import msgspec

from proxy.errors import Protocol, UpstreamError
from proxy.routing import RoutingTarget
from proxy.upstream.client import Answer, Upstream
from proxy.upstream.requests import Payload
from proxy.wire import Call, Head, ModelPlace

OWN_HEAD = Head.of(
    [
        (b"accept", b"Accept", b"application/json"),
        (b"content-type", b"Content-Type", b"application/json"),
        (b"user-agent", b"User-Agent", b"pointsman"),  # some front ends refuse requests without one
        (b"anthropic-version", b"anthropic-version", b"2023-06-01"),
    ]
)
"""The header fields of the proxy's own requests."""

# An answer of one token takes some hundred bytes; of an error nobody reads more.
_BODY_BYTES = 64 * 1024
# OpenAI's newer models refuse the name that all others want.
_LIMIT, _NEWER_LIMIT = "max_tokens", "max_completion_tokens"


class TokenAnswer(NamedTuple):
    """What came of it.

    Attributes:
        status: of the answer.
        head: its header fields.
        body: the beginning of its body.
        first_byte_s: from the request to the head of the answer, in seconds.
        broken: what broke the answer off, if anything did.
    """

    status: int
    head: Head
    body: bytes
    first_byte_s: float
    broken: UpstreamError | None


async def ask_for_a_token(
    upstream: Upstream, target: RoutingTarget, protocol: Protocol, *, streaming: bool = False
) -> TokenAnswer:
    """Ask a target for one token; bounded in time by the provider's own limits, and by whoever cancels it.

    Raises `UnsupportedProtocolError` if it can't be asked so, and `UpstreamError` if there is no answer.
    """
    answer = await _ask(upstream, target, _call(protocol, streaming), _body(protocol, target.model_id, streaming))
    if answer.status == 400 and protocol is Protocol.OPENAI and _NEWER_LIMIT.encode() in answer.body:
        body = _body(protocol, target.model_id, streaming)
        body[_NEWER_LIMIT] = body.pop(_LIMIT)
        answer = await _ask(upstream, target, _call(protocol, streaming), body)
    return answer


async def _ask(upstream: Upstream, target: RoutingTarget, call: Call, body: dict[str, object]) -> TokenAnswer:
    clock = asyncio.get_running_loop().time
    data = msgspec.json.encode(body)
    template, payload = upstream.template(target, call), Payload((data,), len(data))
    own_head = template.head(OWN_HEAD, payload.length)
    began = clock()
    try:
        answer = await upstream.send(template, own_head, payload)
    except UpstreamError as error:
        if not error.is_stale:
            raise
        # The provider had closed the resting connection: that tells nothing of what a new one would bring.
        answer = await upstream.send(template, own_head, payload, fresh=True)
    try:
        first_byte_s = clock() - began
        message = answer.message
        status, head = message.status, message.head
        text, broken = await _read(answer)
        return TokenAnswer(status, head, text, first_byte_s, None if broken is None else answer.explain(broken))
    finally:
        answer.close()


async def _read(answer: Answer) -> tuple[bytes, BaseException | None]:
    """The body, as far as it is wanted, and what broke it off."""
    kept = _Kept()
    answer.pour(kept, answer.timeouts.idle_s)
    error = await kept.over
    return bytes(kept.data[:_BODY_BYTES]), error


class _Kept:
    """A sink that keeps the beginning of a body."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.over: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> None:
        """Keep the next piece; enough is as good as the end."""
        self.data += data
        if len(self.data) >= _BODY_BYTES:
            self.close(None)

    def close(self, error: BaseException | None) -> None:
        """Note the end."""
        if not self.over.done():
            self.over.set_result(error)


def _call(protocol: Protocol, streaming: bool) -> Call:  # noqa: FBT001
    match protocol:
        case Protocol.OPENAI:
            return Call(protocol, "/v1/chat/completions", "chat/completions", "", ModelPlace.BODY)
        case Protocol.ANTHROPIC:
            return Call(protocol, "/v1/messages", "messages", "", ModelPlace.BODY)
        case Protocol.GEMINI:
            method, query = ("streamGenerateContent", "alt=sse") if streaming else ("generateContent", "")
            path = f"/v1beta/models/any:{method}"
            return Call(protocol, path, f"models:{method}", query, ModelPlace.PATH, "any")


def _body(protocol: Protocol, model_id: str, streaming: bool) -> dict[str, object]:  # noqa: FBT001
    if protocol is Protocol.GEMINI:
        contents = [{"role": "user", "parts": [{"text": "."}]}]
        return {"contents": contents, "generationConfig": {"maxOutputTokens": 1}}
    body: dict[str, object] = {"model": model_id, "messages": [{"role": "user", "content": "."}], _LIMIT: 1}
    return {**body, "stream": True} if streaming else body
