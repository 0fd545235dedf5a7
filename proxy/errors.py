"""What can go wrong, and the shape in which a client reads it.

Every failure that Pointsman answers for itself is a `ProxyError`: it knows its HTTP status and says what happened,
what was expected and what to do. `error_body` alone turns one into the JSON of the protocol that the client speaks.
A provider's own error answer is no `ProxyError`; it passes through untouched.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum, auto
from typing import ClassVar

import msgspec


class Protocol(StrEnum):
    """The API family in which a client asks or a provider answers."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


class Failure(StrEnum):
    """Why an attempt at a provider failed, in the words of config, logs and metrics."""

    CONNECT = auto()
    """DNS, TCP or TLS failed: nothing of the request was sent."""
    BROKEN = auto()
    """The connection was reset or closed, or the answer malformed, before the answer's head was through."""
    TIMEOUT = auto()
    """No first byte within its time limit. The provider may have done, and billed, the work."""
    BUSY = auto()
    """As many requests as the provider or endpoint may have are under way, and the queue is full or was too slow."""
    RATE_LIMITED = auto()
    """429."""
    UNAVAILABLE = auto()
    """408, 500, 502, 503, 504 or 529."""
    UNAUTHORIZED = auto()
    """401: the provider doesn't accept our key."""
    FORBIDDEN = auto()
    """403."""
    NOT_FOUND = auto()
    """404: mostly a model id that the provider doesn't have, or has retired."""
    CONTEXT_LENGTH = auto()
    """A 400 that says that the prompt doesn't fit into the model's context."""
    INCOMPLETE = auto()
    """A 200 that told an error, ended or stalled before its first content; held back whole, before its end."""
    CUT = auto()
    """The answer broke off or stalled once a part of it had gone to the client: too late for another target."""


class ProxyError(Exception):
    """A failure that the proxy itself answers for.

    Attributes:
        status: the HTTP status of the answer.
        type: the OpenAI `error.type`.
        code: the OpenAI `error.code`, what a program branches on.
        param: the request's parameter at fault, if it is one.
        retry_after_s: seconds after which trying again makes sense.
        should_retry: whether the client's SDK should try again; None leaves it to the SDK.
        attempts: how many attempts at providers there were.
    """

    status: int = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None
    retry_after_s: int | None = None
    should_retry: bool | None = None
    attempts = 0

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class InvalidRequestError(ProxyError):
    """The request can't be served as it stands; sending it again won't help."""

    status = 400
    type = "invalid_request_error"


class UnknownModelError(InvalidRequestError):
    """No route and no direct name matches the model.

    Args:
        model: the name that was asked for.
        candidates: known names among which the closest are suggested (keep them few: each is compared).
    """

    status = 404
    code = "model_not_found"

    def __init__(self, model: str, candidates: Iterable[str] = ()) -> None:
        shown = model if len(model) <= 80 else model[:77] + "..."
        close = get_close_matches(model[:200], candidates, n=3, cutoff=0.5)
        hint = " Did you mean " + " or ".join(f"`{name}`" for name in close) + "?" if close else ""
        super().__init__(
            f"The model `{shown}` does not exist here.{hint} GET /v1/models lists every name.", param="model"
        )
        self.model = model


class UnsupportedProtocolError(InvalidRequestError):
    """The provider that the route chose doesn't speak the protocol of the request."""

    code = "unsupported_protocol"


class NotFoundError(InvalidRequestError):
    """There is nothing at this path."""

    status = 404
    code = "not_found"


class MethodNotAllowedError(InvalidRequestError):
    """The path exists, but not for this method."""

    status = 405
    code = "method_not_allowed"


class RequestTimeoutError(InvalidRequestError):
    """The client didn't send its request body in time."""

    status = 408
    code = "request_timeout"


class PayloadTooLargeError(InvalidRequestError):
    """The request body is larger than `server.max_body_bytes`."""

    status = 413
    code = "request_too_large"


class UnsupportedEncodingError(InvalidRequestError):
    """The request body is compressed in a way that can't be read here."""

    status = 415
    code = "unsupported_content_encoding"


class UpstreamError(ProxyError):
    """A provider could not be reached or broke off.

    Args:
        reason: what happened, as the end of a sentence that begins with the provider; without secrets.
        provider: the provider's name.
        failure: the kind of it.
        is_stale: whether it was a pooled connection that the provider had closed by all appearances before the request
            came: worth one more try at the same provider.
    """

    status = 502
    type = "upstream_error"
    code = "upstream_error"

    def __init__(
        self, reason: str, *, provider: str, failure: Failure = Failure.BROKEN, is_stale: bool = False
    ) -> None:
        super().__init__(f"Provider `{provider}` {reason}.")
        self.reason = reason
        self.provider = provider
        self.failure = failure
        self.is_stale = is_stale


class UpstreamTimeoutError(UpstreamError):
    """A provider took longer than its time limit."""

    status = 504
    type = "timeout"
    code = "timeout"


class UpstreamBusyError(UpstreamError):
    """A provider or endpoint has as many requests or connections as it may have here, and too many wait for the next.

    It is the operator's limit, and not an outage: the client reads what it reads at a provider's own rate limit.
    """

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    retry_after_s = 1


class ProviderDrainedError(ProxyError):
    """All providers that could serve the model have been taken out of service, even for models without another way.

    Args:
        providers: their names.
    """

    status = 503
    type = "upstream_error"
    code = "provider_drained"
    retry_after_s = 15
    should_retry = True

    def __init__(self, providers: Iterable[str]) -> None:
        names = ", ".join(f"`{name}`" for name in providers)
        super().__init__(f"No provider can take the request: {names} has been taken out of service by the operator.")


class WithdrawnError(ProxyError):
    """An answer was ended in the middle, since the operator wants its provider left at once.

    Args:
        provider: its name.
    """

    status = 503
    type = "upstream_error"
    code = "withdrawn"

    def __init__(self, provider: str) -> None:
        super().__init__(f"The operator ended this answer of provider `{provider}`, which is left. Ask again.")


# https://platform.claude.com/docs/en/api/errors
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}

# https://cloud.google.com/apis/design/errors#handling_errors
_GEMINI_STATUSES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    504: "DEADLINE_EXCEEDED",
}


def error_body(error: ProxyError, protocol: Protocol | None, request_id: str) -> bytes:
    """The JSON in which a client of `protocol` reads this error.

    Where the protocol is not known (a request that could not be parsed), the body holds what both the OpenAI and
    the Anthropic SDKs read.
    """
    openai = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    anthropic_type = _ANTHROPIC_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    body: dict[str, object]
    match protocol:
        case Protocol.OPENAI:
            body = {"error": openai}
        case Protocol.ANTHROPIC:
            body = {
                "type": "error",
                "error": {"type": anthropic_type, "message": error.message},
                "request_id": request_id,
            }
        case Protocol.GEMINI:
            status = _GEMINI_STATUSES.get(error.status, "INVALID_ARGUMENT" if error.status < 500 else "UNAVAILABLE")
            body = {"error": {"code": error.status, "message": error.message, "status": status}}
        case None:
            body = {"type": "error", "error": openai, "request_id": request_id}
    return msgspec.json.encode(body)
