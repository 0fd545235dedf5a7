"""Gemini's API as straw speaks it.

https://ai.google.dev/api/generate-content
"""

import msgspec

from proxy.simulator.reply import Json, RefusedError, Stream, Whole, event, read
from proxy.simulator.text import count_tokens, saying, tokens

_STATUSES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class _Asked(msgspec.Struct):
    contents: object = None


def error(status: int, message: str) -> Whole:
    """An error in Google's shape."""
    kind = _STATUSES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    return Whole({"error": {"code": status, "message": message, "status": kind}}, status)


def call(provider: str, model: str, method: str, body: bytes, *, sse: bool) -> Whole | Stream:
    """`POST /v1beta/models/{model}:{method}`; a stream is a JSON array unless events were asked for."""
    asked = count_tokens(read(body, _Asked).contents)
    text = saying(provider, model)
    match method:
        case "countTokens":
            return Whole({"totalTokens": asked})
        case "embedContent":
            return Whole({"embedding": {"values": [0.25, -0.5, 0.75]}})
        case "generateContent":
            return Whole(_answer(model, text, (asked, count_tokens(text)), finish="STOP"))
        case "streamGenerateContent":
            return _stream(_answers(model, tokens(text), asked), sse=sse)
    raise RefusedError(404, f"models/{model} is not found, or is not supported for {method}.")


def _stream(answers: list[Json], *, sse: bool) -> Stream:
    if sse:
        return Stream([event(answer).replace(b"\n", b"\r\n") for answer in answers])
    encoded = [msgspec.json.encode(answer) for answer in answers]
    return Stream([b"[" + encoded[0], *(b",\r\n" + one for one in encoded[1:]), b"]"], content_type="application/json")


def _answers(model: str, words: list[str], asked: int) -> list[Json]:
    """One answer a word; the usage of each counts all the words so far."""
    finishes = [None] * (len(words) - 1) + ["STOP"]
    return [
        _answer(model, word, (asked, number), finish)
        for number, (word, finish) in enumerate(zip(words, finishes, strict=True), start=1)
    ]


def _answer(model: str, text: str, counts: tuple[int, int], finish: str | None) -> Json:
    candidate: Json = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    asked, said = counts
    usage = {"promptTokenCount": asked, "candidatesTokenCount": said, "totalTokenCount": asked + said}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model}
