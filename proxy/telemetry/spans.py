"""Spans as OpenTelemetry has them, made of a request's record once it is over, and sent by a thread of the SDK's.

The names are those of the GenAI semantic conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/. There is
never a body, a query, a header or a secret in them. Importing this needs the extra `otel`.
"""

import time

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from proxy.config import Tracing
from proxy.errors import ProxyError
from proxy.telemetry.outcome import Attempt, Ending, Outcome
from proxy.telemetry.trace import AttemptSpan, RequestSpan
from proxy.wire import Tokens, parse_call

# Spans that wait; when there are more, the oldest are dropped.
_WAITING = 8192
_AT_ONCE = 512
_EVERY_MS = 2000
_EXPORT_S = 10.0
_TEXT_CHARS = 256
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NS = 1_000_000_000

_OPERATIONS = {
    "chat/completions": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "messages": "chat",
    "models:batchEmbedContents": "embeddings",
    "models:embedContent": "embeddings",
    "models:generateContent": "generate_content",
    "models:streamGenerateContent": "generate_content",
    "responses": "chat",
}
"""By `Call.operation`; all others are called as they are there."""
_PROVIDERS = {
    "azure-openai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""Known providers that the conventions call otherwise."""

Attributes = dict[str, str | int]


class _Ids(IdGenerator):
    """Gives out the ids that were given before, for the providers know them already."""

    trace_id = span_id = 1

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class Spans:
    """Makes spans and sends them.

    Args:
        settings: where to.
        version: the program's.
    """

    def __init__(self, settings: Tracing, version: str) -> None:
        # Refused by the HTTP library with the value in the message otherwise, in each export.
        headers = {name: value.reveal().strip().encode().decode("latin-1") for name, value in settings.headers}
        self._exporter = OTLPSpanExporter(endpoint=settings.endpoint, headers=headers, timeout=_EXPORT_S)
        self._ids = _Ids()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": "pointsman", "service.version": version}),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, _WAITING, _EVERY_MS, _AT_ONCE))
        self._tracer = self._provider.get_tracer("pointsman", version)

    def record(self, outcome: Outcome, span: RequestSpan) -> None:
        """Make the spans of a request that has just ended."""
        end_ns = time.time_ns()
        start_ns = end_ns - round(outcome.duration_s * _NS)
        operation = _operation(outcome)
        context = Context()
        if span.parent_id:
            parent = SpanContext(span.trace_id, span.parent_id, is_remote=True, trace_flags=_SAMPLED)
            context = set_span_in_context(NonRecordingSpan(parent), context)
        self._ids.trace_id, self._ids.span_id = span.trace_id, span.id
        request = self._tracer.start_span(
            _name(operation, outcome.model), context, SpanKind.SERVER, _of_request(outcome, operation), None, start_ns
        )
        if outcome.ending is Ending.CUT or outcome.status >= 500:
            request.set_status(Status(StatusCode.ERROR))
        context = set_span_in_context(request, context)
        for number, attempt in enumerate(outcome.attempts, 1):
            if attempt.span is None:
                continue
            self._ids.span_id = attempt.span.id
            attributes = _of_attempt(attempt, attempt.span, operation) | {
                "pointsman.attempt": number,
                "pointsman.revision": outcome.revision,
            }
            if attempt is outcome.served_by:
                attributes |= _usage(outcome.tokens)
            began_ns = start_ns + round((attempt.started - outcome.started) * _NS)
            child = self._tracer.start_span(
                _name(operation, attempt.target.model_id), context, SpanKind.CLIENT, attributes, None, began_ns
            )
            if "error.type" in attributes:
                child.set_status(Status(StatusCode.ERROR, _text(attempt.reason or "")))
            child.end(began_ns + round((attempt.duration_s or 0.0) * _NS))
        request.end(end_ns)

    def close(self) -> None:
        """Send what waits, and end the thread that does it."""
        self._provider.shutdown()

    def give_up(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # it doesn't say that it gives None


def _of_request(outcome: Outcome, operation: str) -> Attributes:
    attributes: Attributes = {
        "gen_ai.operation.name": operation,
        "pointsman.request_id": outcome.id,
        "pointsman.revision": outcome.revision,
        "pointsman.attempts": len(outcome.attempts),
        "pointsman.ending": str(outcome.ending),
    }
    if outcome.model is not None:
        attributes["gen_ai.request.model"] = _text(outcome.model)
    if (target := outcome.target) is not None:
        attributes |= _provider(target.provider_name)
    if outcome.status:
        attributes["http.response.status_code"] = outcome.status
    if outcome.has_failed:
        attributes["error.type"] = str(outcome.cause)
    return attributes | _usage(outcome.tokens)


def _of_attempt(attempt: Attempt, span: AttemptSpan, operation: str) -> Attributes:
    target, status = attempt.target, attempt.status
    host, port = span.address
    attributes: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": _text(target.model_id),
        **_provider(target.provider_name),
        "server.address": host,
        "server.port": port,
    }
    if status:
        attributes["http.response.status_code"] = status
    if attempt.failure is not None or status >= 400:
        attributes["error.type"] = str(attempt.failure or status)
    return attributes


def _provider(name: str) -> Attributes:
    return {"gen_ai.provider.name": _PROVIDERS.get(name, name), "pointsman.provider": name}


def _usage(tokens: Tokens) -> Attributes:
    attributes: Attributes = {}
    if tokens.input is not None:
        attributes["gen_ai.usage.input_tokens"] = tokens.input
    if tokens.output is not None:
        attributes["gen_ai.usage.output_tokens"] = tokens.output
    return attributes


def _operation(outcome: Outcome) -> str:
    """What was asked for, told from the path; without a route the path may be anything, and is not repeated."""
    if outcome.source is None:
        return "unknown"
    try:
        operation = parse_call(outcome.path, "model=any").operation
    except ProxyError:
        return "unknown"
    return _OPERATIONS.get(operation) or _text(operation)


def _name(operation: str, model: str | None) -> str:
    return operation if model is None else f"{operation} {_text(model)}"


def _text(text: str) -> str:
    """A client's own words, no longer than they should be, in what can be encoded: one span must not spoil others."""
    return text[:_TEXT_CHARS].encode("utf-8", "replace").decode()
