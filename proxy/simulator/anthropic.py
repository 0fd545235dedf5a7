"""Anthropic's Messages API as straw speaks it.

https://platform.claude.com/docs/en/api/messages
"""

import msgspec

from proxy.simulator.reply import Json, Stream, Whole, event, new_id, read
from proxy.simulator.text import arguments_for, count_tokens, pieces, saying, tokens

_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Block] = ""


class _Tool(msgspec.Struct):
    name: str
    input_schema: object = None


class _Asked(msgspec.Struct):
    model: str
    messages: list[_Message] = []
    tools: list[_Tool] = []
    stream: bool = False


def error(status: int, message: str) -> Whole:
    """An error in Anthropic's shape."""
    kind = _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    given = headers()
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": given["request-id"]}
    return Whole(body, status, given)


def headers() -> dict[str, str]:
    """The headers of every answer."""
    return {
        "request-id": new_id("req_"),
        "anthropic-ratelimit-requests-limit": "1000",
        "anthropic-ratelimit-requests-remaining": "999",
    }


def messages(provider: str, body: bytes) -> Whole | Stream:
    """`POST /v1/messages`."""
    asked = read(body, _Asked)
    arguments = _arguments(asked)
    if arguments is None:
        text = saying(provider, asked.model)
        block: Json = {"type": "text", "text": text}
        deltas: list[Json] = [{"type": "text_delta", "text": token} for token in tokens(text)]
    else:
        name = asked.tools[0].name
        block = {"type": "tool_use", "id": new_id("toolu_"), "name": name, "input": msgspec.json.decode(arguments)}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(arguments)]
    message: Json = {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [block],
        "stop_reason": "end_turn" if arguments is None else "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": count_tokens(asked.messages), "output_tokens": len(deltas)},
    }
    return Stream(_events(message, block, deltas), headers()) if asked.stream else Whole(message, headers=headers())


def _arguments(asked: _Asked) -> str | None:
    """The arguments for the first tool, if there are tools and the user, not a tool, spoke last."""
    if not asked.tools or not asked.messages or asked.messages[-1].role != "user":
        return None
    content = asked.messages[-1].content
    if not isinstance(content, str) and any(block.type == "tool_result" for block in content):
        return None
    return arguments_for(asked.tools[0].input_schema)


def _events(message: Json, block: Json, deltas: list[Json]) -> list[bytes]:
    empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
    begun = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    steps: list[Json] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": message["usage"]["output_tokens"]},
        },
        {"type": "message_stop"},
    ]
    return [event(step, step["type"]) for step in steps]


def count(_: str, body: bytes) -> Whole:
    """`POST /v1/messages/count_tokens`."""
    return Whole({"input_tokens": count_tokens(read(body, _Asked).messages)}, headers=headers())
