"""Gemini's API as straw speaks it.

https://ai.google.dev/api/generate-content
"""

import msgspec

from proxy.simulator.reply import Json, Stream, Whole, event
from proxy.simulator.text import count_tokens, saying, tokens

_STATUSES = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


def error(status: int, message: str) -> Whole:
    """An error in Google's shape."""
    kind = _STATUSES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    return Whole({"error": {"code": status, "message": message, "status": kind}}, status)


def generate(provider: str, model: str, method: str, body: Json, *, sse: bool) -> Whole | Stream:
    """`POST /v1beta/models/{model}:{method}`; a stream is a JSON array unless events were asked for."""
    asked = count_tokens(body.get("contents"))
    if method == "countTokens":
        return Whole({"totalTokens": asked})
    if method == "embedContent":
        return Whole({"embedding": {"values": [0.25, -0.5, 0.75]}})
    text = saying(provider, model)
    if method == "generateContent":
        return Whole(_answer(model, text, asked, "STOP"))
    words = tokens(text)
    answers = [_answer(model, word, asked, None) for word in words[:-1]] + [_answer(model, words[-1], asked, "STOP")]
    if sse:
        return Stream([event(answer).replace(b"\n", b"\r\n") for answer in answers])
    pieces = [(b"[" if n == 0 else b",\r\n") + msgspec.json.encode(answer) for n, answer in enumerate(answers)]
    return Stream([*pieces, b"]"], content_type="application/json")


def _answer(model: str, text: str, asked: int, finish: str | None) -> Json:
    candidate: Json = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    said = count_tokens(text)
    usage = {"promptTokenCount": asked, "candidatesTokenCount": said, "totalTokenCount": asked + said}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model}
