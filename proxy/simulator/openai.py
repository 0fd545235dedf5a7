"""OpenAI's API as straw speaks it; chat and responses, which stream, have modules of their own.

https://platform.openai.com/docs/api-reference
"""

import base64
import random
import struct
from email.message import Message
from typing import Annotated

import msgspec
from msgspec import Meta

from proxy.simulator.reply import Json, RefusedError, Whole, new_id, read
from proxy.simulator.text import count_tokens

_EMBEDDING_SIZE = 8
_ERROR_TYPES = {429: "rate_limit_error"}
_ERROR_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_LIMITS = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199000",
    "openai-version": "2020-10-01",
}


class _EmbeddingsAsked(msgspec.Struct):
    model: str
    # A text, its tokens, or several of either.
    input: str | list[str | int | list[int]] = ""
    dimensions: Annotated[int, Meta(ge=1, le=4096)] = _EMBEDDING_SIZE
    encoding_format: str = "float"


def error(status: int, message: str) -> Whole:
    """An error in OpenAI's shape."""
    kind = _ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    content = {"message": message, "type": kind, "param": None, "code": _ERROR_CODES.get(status)}
    return Whole({"error": content}, status, headers())


def headers() -> dict[str, str]:
    """The headers of every answer."""
    return {"x-request-id": new_id("req_"), **_LIMITS}


def embeddings(_: str, body: bytes) -> Whole:
    """`POST /v1/embeddings`; the same text always gets the same numbers."""
    asked = read(body, _EmbeddingsAsked)
    is_list_of_inputs = isinstance(asked.input, list) and not any(isinstance(one, int) for one in asked.input)
    inputs = asked.input if is_list_of_inputs else [asked.input]
    data = [
        {"object": "embedding", "index": index, "embedding": _embedding(str(one), asked)}
        for index, one in enumerate(inputs)
    ]
    count = count_tokens(asked.input)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return Whole({"object": "list", "data": data, "model": asked.model, "usage": usage}, headers=headers())


def _embedding(text: str, asked: _EmbeddingsAsked) -> list[float] | str:
    chance = random.Random(text)  # noqa: S311 - nothing is kept secret with it
    numbers = [round(chance.uniform(-1, 1), 6) for _ in range(asked.dimensions)]
    if asked.encoding_format != "base64":
        return numbers
    return base64.b64encode(struct.pack(f"<{asked.dimensions}f", *numbers)).decode()


def transcription(content_type: str, form: bytes) -> Whole:
    """`POST /v1/audio/transcriptions`: says how large the form's `file` was, in bytes."""
    about = Message()
    about["Content-Type"] = content_type
    boundary = about.get_boundary()
    if about.get_content_type() != "multipart/form-data" or not boundary:
        raise RefusedError(400, "Could not parse multipart form")
    # RFC 2046 5.1.1: the delimiter is a line of its own, and the line break before it belongs to it.
    for part in (b"\r\n" + form).split(b"\r\n--" + boundary.encode())[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return Whole({"text": f"I heard a file of {len(content)} bytes."}, headers=headers())
    raise RefusedError(400, "Missing required parameter: 'file'")


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
