"""OpenAI's chat completions, and the legacy completions, as straw speaks them.

https://platform.openai.com/docs/api-reference/chat
"""

import time

import msgspec

from proxy.simulator.openai import headers
from proxy.simulator.reply import Json, Stream, Whole, event, new_id, read
from proxy.simulator.text import arguments_for, count_tokens, pieces, saying, tokens

_DONE = b"data: [DONE]\n\n"


class _Message(msgspec.Struct):
    role: str
    content: object = None


class _Function(msgspec.Struct):
    name: str
    parameters: object = None


class _Tool(msgspec.Struct):
    function: _Function | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Asked(msgspec.Struct):
    model: str
    prompt: object = None
    messages: list[_Message] = []
    tools: list[_Tool] | None = None
    tool_choice: object = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream tells its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


def chat_completions(provider: str, body: bytes) -> Whole | Stream:
    """`POST /v1/chat/completions`."""
    asked = read(body, _Asked)
    text = saying(provider, asked.model)
    call = _tool_call(asked)
    deltas: list[Json] = _call_deltas(call) if call else [{"content": token} for token in tokens(text)]
    finish = "tool_calls" if call else "stop"
    usage = _usage(count_tokens(asked.messages), len(deltas))
    base = {
        "id": new_id("chatcmpl-"),
        "created": int(time.time()),
        "model": asked.model,
        "system_fingerprint": "fp_straw",
    }
    if not asked.stream:
        message: Json = {"role": "assistant", "content": None if call else text, "refusal": None}
        if call:
            message["tool_calls"] = [call]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return Whole({**base, "object": "chat.completion", "choices": [choice], "usage": usage}, headers=headers())
    steps = [({"role": "assistant", "content": None if call else ""}, None), *((d, None) for d in deltas), ({}, finish)]
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason} for delta, reason in steps]
    return _stream({**base, "object": "chat.completion.chunk"}, choices, usage if asked.wants_usage else None)


def completions(provider: str, body: bytes) -> Whole | Stream:
    """`POST /v1/completions`, the legacy API."""
    asked = read(body, _Asked)
    text = saying(provider, asked.model)
    usage = _usage(count_tokens(asked.prompt), len(tokens(text)))
    base = {"id": new_id("cmpl-"), "object": "text_completion", "created": int(time.time()), "model": asked.model}
    if not asked.stream:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": "stop"}
        return Whole({**base, "choices": [choice], "usage": usage}, headers=headers())
    steps = [*((token, None) for token in tokens(text)), ("", "stop")]
    choices = [{"text": token, "index": 0, "logprobs": None, "finish_reason": reason} for token, reason in steps]
    return _stream(base, choices, usage if asked.wants_usage else None)


def _stream(base: Json, choices: list[Json], usage: Json | None) -> Stream:
    """One chunk a choice; asked for, the usage comes in a last chunk without choices and is null in all others."""
    if usage is None:
        chunks = [{**base, "choices": [choice]} for choice in choices]
    else:
        chunks = [{**base, "choices": [choice], "usage": None} for choice in choices]
        chunks.append({**base, "choices": [], "usage": usage})
    return Stream([*(event(chunk) for chunk in chunks), _DONE], headers())


def _tool_call(asked: _Asked) -> Json | None:
    """A call of the first function, if there is one and it is the model's turn to use it."""
    functions = [tool.function for tool in asked.tools or () if tool.function is not None]
    is_models_turn = bool(asked.messages) and asked.messages[-1].role == "user" and asked.tool_choice != "none"
    if not functions or not is_models_turn:
        return None
    arguments = arguments_for(functions[0].parameters)
    return {"id": new_id("call_"), "type": "function", "function": {"name": functions[0].name, "arguments": arguments}}


def _call_deltas(call: Json) -> list[Json]:
    function = call["function"]
    first = {**call, "index": 0, "function": {"name": function["name"], "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": piece}} for piece in pieces(function["arguments"])]
    return [{"tool_calls": [delta]} for delta in (first, *rest)]


def _usage(prompt: int, completion: int) -> Json:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
