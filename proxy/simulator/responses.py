"""OpenAI's responses as straw speaks them.

https://platform.openai.com/docs/api-reference/responses
"""

import time

import msgspec

from proxy.simulator.openai import headers
from proxy.simulator.reply import Json, Stream, Whole, event, new_id, read
from proxy.simulator.text import count_tokens, saying, tokens


class _Asked(msgspec.Struct):
    model: str
    input: object = None
    instructions: object = None
    tools: list[dict[str, object]] | None = None
    stream: bool | None = None


def responses(provider: str, body: bytes) -> Whole | Stream:
    """`POST /v1/responses`."""
    asked = read(body, _Asked)
    text = saying(provider, asked.model)
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"id": new_id("msg_"), "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    prompt, said = count_tokens(asked.input), count_tokens(text)
    response: Json = {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": asked.model,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": asked.tools or [],
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "metadata": {},
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + said,
        },
    }
    return Stream(_events(response, item, part), headers()) if asked.stream else Whole(response, headers=headers())


def _events(response: Json, item: Json, part: Json) -> list[bytes]:
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
