"""A collector of spans: what an OTLP exporter sends by HTTP, read with OpenTelemetry's own classes."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

SERVER, CLIENT = trace_pb2.Span.SPAN_KIND_SERVER, trace_pb2.Span.SPAN_KIND_CLIENT
ERROR = trace_pb2.Status.STATUS_CODE_ERROR


class Received(NamedTuple):
    """A span; its ids in hex, "" for no parent, and its times in seconds."""

    name: str
    kind: int
    trace_id: str
    id: str
    parent_id: str
    attributes: dict[str, str | int]
    is_error: bool
    start_s: float
    end_s: float


class Collector:
    """Takes spans on loopback; an async context manager.

    Attributes:
        endpoint: where.
        spans: what came, by start.
        resources: the attributes of what sent them.
        headers: of each request, by lower-case name.
        raw: all bytes that came.
    """

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.resources: list[dict[str, str | int]] = []
        self.headers: list[dict[str, str]] = []
        self.raw = b""
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}/v1/traces"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        for sender in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_attributes(sender.resource.attributes))
            self.spans += [_received(span) for scope in sender.scope_spans for span in scope.spans]
        self.spans.sort(key=lambda span: span.start_s)
        return web.Response()


def _received(span: trace_pb2.Span) -> Received:
    return Received(
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _attributes(span.attributes),
        span.status.code == ERROR,
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str | int]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> str | int:
    return value.int_value if value.HasField("int_value") else value.string_value
