"""Which API a request asks for, in which protocol, and whether it brings the key that the protocol wants."""

import secrets

from aiohttp import web

from proxy.simulator import anthropic, chat, gemini, openai, responses
from proxy.simulator.reply import RefusedError, Stream, Whole

# What `GET /v1/models` tells; any other name is served as well.
_MODELS = ("straw-large", "straw-small", "straw-deep")
_GEMINI_MODELS = "/v1beta/models/"
_ERRORS = {"openai": openai.error, "anthropic": anthropic.error, "gemini": gemini.error}
_APIS = {
    "/v1/chat/completions": chat.chat_completions,
    "/v1/completions": chat.completions,
    "/v1/embeddings": openai.embeddings,
    "/v1/responses": responses.responses,
    "/v1/messages": anthropic.messages,
    "/v1/messages/count_tokens": anthropic.count,
}


def answer(request: web.Request, body: bytes, provider: str) -> Whole | Stream:
    """What the API says to a request; raises `RefusedError` if it can't be served."""
    path = request.path
    if request.method == "GET" and path == "/v1/models":
        return openai.models(provider, _MODELS)
    if request.method == "GET" and path.startswith("/v1/models/"):
        return openai.model(provider, _MODELS, path.removeprefix("/v1/models/"))
    if request.method != "POST":
        raise RefusedError(405, f"Method {request.method} is not allowed for {path}")
    if path == "/v1/audio/transcriptions":
        return openai.transcription(request.headers.get("Content-Type", ""), body)
    if path.startswith(_GEMINI_MODELS):
        model, _, method = path.removeprefix(_GEMINI_MODELS).rpartition(":")
        return gemini.call(provider, model, method, body, sse=request.query.get("alt") == "sse")
    if path not in _APIS:
        raise RefusedError(404, f"Unknown request URL: POST {path}")
    return _APIS[path](provider, body)


def error(request: web.Request, status: int, message: str) -> Whole:
    """An error as the request's protocol words it."""
    return _ERRORS[_protocol_of(request)](status, message)


def check_key(request: web.Request, key: str) -> None:
    """Raise `RefusedError` unless the request brings `key` in a way of its protocol; "" asks for none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token if scheme.lower() == "bearer" else ""
    given = {
        "openai": (bearer, request.headers.get("api-key", "")),
        "anthropic": (request.headers.get("x-api-key", ""), bearer),
        "gemini": (request.headers.get("x-goog-api-key", ""), request.query.get("key", "")),
    }[_protocol_of(request)]
    if key and not any(secrets.compare_digest(one.encode(), key.encode()) for one in given):
        raise RefusedError(401, "Incorrect API key provided")


def _protocol_of(request: web.Request) -> str:
    if request.path.startswith("/v1/messages"):
        return "anthropic"
    return "gemini" if request.path.startswith("/v1beta/") else "openai"
