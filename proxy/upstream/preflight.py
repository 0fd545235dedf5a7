"""Preflight: asking endpoints that no request goes to yet, before one does.

The request takes the way of all others, with the provider's own credential, connections and TLS; only its body is ours.
What comes of it is told to who asks and to nobody else: no breaker, no budget and no metric learns of it.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from proxy.errors import Failure, Protocol, ProxyError, UnsupportedProtocolError, UpstreamError
from proxy.routing import RoutingTarget
from proxy.upstream.client import Upstream
from proxy.upstream.masking import masked
from proxy.upstream.token_request import TokenAnswer, ask_for_a_token
from proxy.wire import Preamble, Stage, has_plain_events

LIMIT_S = 15.0
"""How long one preflight takes at most, all its endpoints together."""
# Requests under way at a time, of all preflights.
_AT_ONCE = 16
_READ_CHARACTERS = 2000
_SHOWN_CHARACTERS = 300
# What a model says that thinks, and for which one token is not enough: it is well.
_TOO_SHORT = b"output limit was reached"

_ADVICE = {
    400: "The provider refuses a plain chat request for this model: check that the model id is one for chat.",
    401: "Check the provider's api_key in the configuration, then reload it.",
    403: "The provider's key may not use this model: check what the key is allowed, or take another model id.",
    404: "Check the model id: the provider doesn't have it, or has retired it.",
    429: "The provider's rate limit or quota is used up: wait, raise it, or take another endpoint.",
}


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking one endpoint.

    Attributes:
        protocol: in which it was asked.
        streaming: whether this tells of a streamed answer; the one in one piece had gone well before.
        ok: whether a client's request would have been served.
        status: of its answer; None if there was none.
        latency_ms: from the request to the first byte of its answer; None if there was none.
        error: what went wrong, in the provider's words where it said something, without secrets.
        advice: what to do about it.
    """

    provider: str
    model_id: str
    protocol: Protocol
    streaming: bool = False
    ok: bool = False
    status: int | None = None
    latency_ms: float | None = None
    error: str | None = None
    advice: str | None = None


class Preflight:
    """Tries endpoints out.

    Args:
        upstream: the way to the providers.
        limit_s: how long one preflight takes at most.
    """

    def __init__(self, upstream: Upstream, limit_s: float = LIMIT_S) -> None:
        self._upstream = upstream
        self._limit_s = limit_s
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(
        self, targets: Sequence[RoutingTarget], protocol: Protocol | None = None, *, streaming: bool = False
    ) -> tuple[Trial, ...]:
        """Ask each target for one token, side by side; to be cancelled at any time.

        Args:
            targets: the endpoints; bounded in number by the caller.
            protocol: what clients will speak; None: each provider's native protocol.
            streaming: whether to ask for a stream as well.
        """
        async with asyncio.TaskGroup() as group:
            trials = [group.create_task(self._try(target, protocol, streaming=streaming)) for target in targets]
        return tuple(trial.result() for trial in trials)

    async def _try(self, target: RoutingTarget, protocol: Protocol | None, *, streaming: bool) -> Trial:
        provider = self._upstream.provider(target.provider_name)
        spoken = protocol or (Protocol.OPENAI if provider is None else provider.protocol)
        trial = Trial(provider=target.provider_name, model_id=target.model_id, protocol=spoken)
        try:
            async with asyncio.timeout(self._limit_s), self._places:
                trial = await self._ask(trial, target)
                if streaming and trial.ok:
                    trial = await self._ask(msgspec.structs.replace(trial, streaming=True), target)
        except TimeoutError:
            error = f"There was no complete answer within {self._limit_s:g} s."
            advice = "The provider is slow or unreachable: try again, or take another endpoint."
            return msgspec.structs.replace(trial, ok=False, error=error, advice=advice)
        return trial

    async def _ask(self, trial: Trial, target: RoutingTarget) -> Trial:
        try:
            answer = await ask_for_a_token(self._upstream, target, trial.protocol, streaming=trial.streaming)
        except ProxyError as error:
            return msgspec.structs.replace(trial, ok=False, error=error.message, advice=_advice_for(error))
        fault = _fault(answer, streaming=trial.streaming)
        if fault is not None and (provider := self._upstream.provider(target.provider_name)) is not None:
            fault = masked(fault, provider)
        return msgspec.structs.replace(
            trial,
            ok=fault is None,
            status=answer.status,
            latency_ms=round(answer.first_byte_s * 1000, 1),
            error=None if fault is None else _shortened(fault),
            advice=None if fault is None else _advice_at(answer.status),
        )


def _fault(answer: TokenAnswer, *, streaming: bool) -> str | None:
    """What is wrong with an answer, if anything is."""
    if answer.status == 400 and _TOO_SHORT in answer.body:
        return None
    if answer.status != 200:
        return _said(answer.body) or f"It answered with status {answer.status} and no words."
    if answer.broken is not None:
        return answer.broken.message
    return _fault_of_stream(answer) if streaming else _told_error(answer.body)


def _fault_of_stream(answer: TokenAnswer) -> str | None:
    if not has_plain_events(answer.head):
        kind = answer.head.text(b"content-type") or "something without a content type"
        return f"It was asked for a stream of events and answered with {kind[:100]}."
    match Preamble().feed(answer.body):
        case Stage.ERROR:
            return f"It told an error instead of content: {_said(answer.body)}"
        case Stage.PREAMBLE:
            return "Its stream ended before any content."
        case Stage.CONTENT:
            return None


def _told_error(body: bytes) -> str | None:
    """What a successful answer says if it is none."""
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "It answered with something that is not JSON."
    return _said(body) if isinstance(content, dict) and content.get("error") else None


def _said(body: bytes) -> str:
    """The message in a provider's error, or else its words as they are, in one line."""
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError:
        text = body[: 4 * _READ_CHARACTERS].decode("utf-8", "replace")
    else:
        text = _message_in(content) or body[: 4 * _READ_CHARACTERS].decode("utf-8", "replace")
    printable = (character if character.isprintable() else " " for character in text[:_READ_CHARACTERS])
    return " ".join("".join(printable).split())


def _message_in(content: object) -> str | None:
    """Gemini's errors come in a list, FastAPI's (vLLM) are a `detail`; all others' have a `message`."""
    match content:
        case [first, *_]:
            return _message_in(first)
        case {"error": {"message": str(message)}} | {"error": str(message)}:
            return message
        case {"message": str(message)} | {"detail": str(message)}:
            return message
    return None


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _advice_at(status: int) -> str:
    if (known := _ADVICE.get(status)) is not None:
        return known
    if status >= 500:
        return "The provider has a fault of its own: try again, or take another endpoint."
    return "The provider can't serve this as it is: take another endpoint, or ask it in another protocol."


def _advice_for(error: ProxyError) -> str:
    match error:
        case UnsupportedProtocolError():
            return "Name a protocol that the provider speaks, or take another endpoint."
        case UpstreamError(failure=Failure.CONNECT):
            return "Check the provider's base_url, and that it can be reached from here."
        case UpstreamError(failure=Failure.BUSY):
            return "All connections that the provider may have are in use: raise `limits`, or take another endpoint."
        case _:
            return "The provider gives no answer: try again, or take another endpoint."
