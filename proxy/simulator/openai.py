"""OpenAI's API as straw speaks it.

https://platform.openai.com/docs/api-reference
"""

import base64
import random
import struct
import time
from typing import Any

import msgspec

from proxy.simulator.reply import Json, RefusedError, Stream, Whole, event, model_of, new_id
from proxy.simulator.text import arguments_for, count_tokens, saying, tokens

_EMBEDDING_SIZE = 8
_ERROR_TYPES = {401: "invalid_request_error", 429: "rate_limit_error", 404: "invalid_request_error"}
_ERROR_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_LIMITS = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "openai-version": "2020-10-01",
}


def error(status: int, message: str) -> Whole:
    """An error in OpenAI's shape."""
    kind = _ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    content = {"message": message, "type": kind, "param": None, "code": _ERROR_CODES.get(status)}
    return Whole({"error": content}, status, headers())


def headers() -> dict[str, str]:
    """The headers of every answer."""
    return {"x-request-id": new_id("req_"), **_LIMITS}


def chat_completions(provider: str, body: Json) -> Whole | Stream:
    """`POST /v1/chat/completions`."""
    model = model_of(body)
    text = saying(provider, model)
    call = _tool_call(body)
    usage = _usage(body.get("messages"), call or text)
    base = {"id": new_id("chatcmpl-"), "created": int(time.time()), "model": model, "system_fingerprint": "fp_straw"}
    finish = "tool_calls" if call else "stop"
    if not body.get("stream"):
        message: Json = {"role": "assistant", "content": None if call else text, "refusal": None}
        if call:
            message["tool_calls"] = [call]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return Whole({**base, "object": "chat.completion", "choices": [choice], "usage": usage}, headers=headers())

    def chunk(delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event({**base, "object": "chat.completion.chunk", "choices": [choice]})

    events = [chunk({"role": "assistant", "content": None if call else ""})]
    events += [chunk(delta) for delta in (_call_deltas(call) if call else [{"content": t} for t in tokens(text)])]
    events.append(chunk({}, finish))
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(event({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
    return Stream([*events, b"data: [DONE]\n\n"], headers())


def _tool_call(body: Json) -> Json | None:
    """A call of the first tool, if there are tools and it is the model's turn to use one."""
    messages = body.get("messages") or [{}]
    if not body.get("tools") or messages[-1].get("role") != "user" or body.get("tool_choice") == "none":
        return None
    function = body["tools"][0].get("function", {})
    arguments = msgspec.json.encode(arguments_for(function.get("parameters"))).decode()
    name = function.get("name", "tool")
    return {"id": new_id("call_"), "type": "function", "function": {"name": name, "arguments": arguments}}


def _call_deltas(call: Json) -> list[Json]:
    function = call["function"]
    first = {**call, "index": 0, "function": {"name": function["name"], "arguments": ""}}
    pieces = [function["arguments"][start : start + 8] for start in range(0, len(function["arguments"]), 8)]
    return [
        {"tool_calls": [first]},
        *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces),
    ]


def _usage(asked: object, answered: object) -> Json:
    prompt, completion = count_tokens(asked), count_tokens(answered)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def completions(provider: str, body: Json) -> Whole | Stream:
    """`POST /v1/completions`, the legacy API."""
    model = model_of(body)
    text = saying(provider, model)
    base = {"id": new_id("cmpl-"), "object": "text_completion", "created": int(time.time()), "model": model}

    def choice(piece: str, finish: str | None) -> Json:
        return {"text": piece, "index": 0, "logprobs": None, "finish_reason": finish}

    if not body.get("stream"):
        usage = _usage(body.get("prompt"), text)
        return Whole({**base, "choices": [choice(text, "stop")], "usage": usage}, headers=headers())
    events = [event({**base, "choices": [choice(token, None)]}) for token in tokens(text)]
    events.append(event({**base, "choices": [choice("", "stop")]}))
    return Stream([*events, b"data: [DONE]\n\n"], headers())


def embeddings(_: str, body: Json) -> Whole:
    """`POST /v1/embeddings`; the same text always gets the same numbers."""
    texts = body.get("input")
    texts = texts if isinstance(texts, list) and texts and not isinstance(texts[0], int) else [texts]
    size = body.get("dimensions") or _EMBEDDING_SIZE
    data = []
    for index, text in enumerate(texts):
        chance = random.Random(str(text))  # noqa: S311 - nothing is kept secret with it
        numbers = [round(chance.uniform(-1, 1), 6) for _ in range(size)]
        packed: Any = numbers
        if body.get("encoding_format") == "base64":
            packed = base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode()
        data.append({"object": "embedding", "index": index, "embedding": packed})
    usage = {"prompt_tokens": count_tokens(texts), "total_tokens": count_tokens(texts)}
    return Whole({"object": "list", "data": data, "model": model_of(body), "usage": usage}, headers=headers())


def responses(provider: str, body: Json) -> Whole | Stream:
    """`POST /v1/responses`."""
    text = saying(provider, model_of(body))
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"id": new_id("msg_"), "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    asked, answered = count_tokens(body.get("input")), count_tokens(text)
    response: Json = {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": body["model"],
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "usage": {
            "input_tokens": asked,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": answered,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked + answered,
        },
    }
    if not body.get("stream"):
        return Whole(response, headers=headers())
    return Stream(_response_events(response, item, part), headers())


def _response_events(response: Json, item: Json, part: Json) -> list[bytes]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    steps: list[tuple[str, Json]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}}),
        ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
        *(("response.output_text.delta", {**place, "delta": t, "logprobs": []}) for t in tokens(part["text"])),
        ("response.output_text.done", {**place, "text": part["text"], "logprobs": []}),
        ("response.content_part.done", {**place, "part": part}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": response}),
    ]
    return [event({"type": name, "sequence_number": n, **data}, name) for n, (name, data) in enumerate(steps)]


def models(provider: str, names: tuple[str, ...]) -> Whole:
    """`GET /v1/models`."""
    return Whole({"object": "list", "data": [_model(provider, name) for name in names]}, headers=headers())


def model(provider: str, names: tuple[str, ...], name: str) -> Whole:
    """`GET /v1/models/{id}`."""
    if name not in names:
        raise RefusedError(404, f"The model '{name}' does not exist")
    return Whole(_model(provider, name), headers=headers())


def _model(provider: str, name: str) -> Json:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": provider}


def transcription(form: bytes) -> Whole:
    """`POST /v1/audio/transcriptions`: says how large the file in the form was."""
    delimiter = form.partition(b"\r\n")[0]
    contents = (part.partition(b"\r\n\r\n")[2] for part in form.split(delimiter))
    size = max(len(content.removesuffix(b"\r\n")) for content in contents)
    return Whole({"text": f"I heard a file of {size} bytes."}, headers=headers())
