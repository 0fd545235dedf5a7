"""Anthropic's Messages API as straw speaks it.

https://platform.claude.com/docs/en/api/messages
"""

import msgspec

from proxy.simulator.reply import Json, Stream, Whole, event, model_of, new_id
from proxy.simulator.text import arguments_for, count_tokens, saying, tokens

_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error(status: int, message: str) -> Whole:
    """An error in Anthropic's shape."""
    kind = _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    given = headers()
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": given["request-id"]}
    return Whole(body, status, given)


def headers() -> dict[str, str]:
    """The headers of every answer."""
    return {"request-id": new_id("req_"), "anthropic-ratelimit-requests-remaining": "999"}


def messages(provider: str, body: Json) -> Whole | Stream:
    """`POST /v1/messages`."""
    model = model_of(body)
    block = _tool_use(body) or {"type": "text", "text": saying(provider, model)}
    usage = {"input_tokens": count_tokens(body.get("messages")), "output_tokens": count_tokens(block)}
    message: Json = {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    return Stream(_events(message, block), headers()) if body.get("stream") else Whole(message, headers=headers())


def _tool_use(body: Json) -> Json | None:
    asked = body.get("messages") or [{}]
    if not body.get("tools") or asked[-1].get("role") != "user" or "tool_result" in str(asked[-1].get("content")):
        return None
    tool = body["tools"][0]
    arguments = arguments_for(tool.get("input_schema"))
    return {"type": "tool_use", "id": new_id("toolu_"), "name": tool.get("name", "tool"), "input": arguments}


def _events(message: Json, block: Json) -> list[bytes]:
    if block["type"] == "text":
        empty: Json = {"type": "text", "text": ""}
        deltas: list[Json] = [{"type": "text_delta", "text": token} for token in tokens(block["text"])]
    else:
        empty = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": msgspec.json.encode(block["input"]).decode()}]
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


def count(_: str, body: Json) -> Whole:
    """`POST /v1/messages/count_tokens`."""
    model_of(body)
    return Whole({"input_tokens": count_tokens(body.get("messages"))}, headers=headers())
