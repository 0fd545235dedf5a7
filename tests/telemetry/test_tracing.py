"""Spans of requests and attempts, as a collector gets them, and the trace that providers are told of."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import aiohttp
import pytest
from aiohttp import web

from proxy.app import Proxy, StartError
from proxy.config import ConfigError, describe_settings, in_force, parse_settings, settings_from
from proxy.telemetry import tracer
from proxy.telemetry.trace import RequestSpan
from proxy.wire import Head
from tests.conftest import url
from tests.telemetry.collector import CLIENT, SERVER, Collector, Received

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"
ANSWER = {"usage": {"prompt_tokens": 7, "completion_tokens": 5}}
SECRETS = ("client-secret", "provider-secret", "collector-secret", "the prompt", "query-secret", "header-secret")

Behave = Callable[[web.Request], Awaitable[web.StreamResponse]]
Provider = tuple[str, list[list[tuple[str, str]]]]
"""Its address, and the header fields of each request."""
MakeProvider = Callable[[Behave], Awaitable[Provider]]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as running:
        yield running


@pytest.fixture
async def make_provider() -> AsyncIterator[MakeProvider]:
    """Start providers that take note of what they are sent."""
    async with AsyncExitStack() as stack:

        async def make(behave: Behave) -> Provider:
            seen: list[list[tuple[str, str]]] = []

            async def handle(request: web.Request) -> web.StreamResponse:
                seen.append([(name.lower(), value) for name, value in request.headers.items()])
                await request.read()
                return await behave(request)

            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            return f"http://{host}:{port}/v1", seen

        yield make


async def well(_: web.Request) -> web.StreamResponse:
    return web.json_response(ANSWER)


async def overloaded(_: web.Request) -> web.StreamResponse:
    return web.json_response({}, status=503)


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"choices":[{"index":0,"delta":{"content":"well"}}]}\n\n')
    assert request.transport is not None
    request.transport.close()  # without the last chunk
    return response


def proxy_to(*origins: str, collector: Collector | None, hedge_after: float | None = None, **tracing: object) -> Proxy:
    """A proxy whose model `fast` is at these providers in turn, the first with a password in its headers."""
    sections: dict[str, object] = {
        "server": {"listen": "127.0.0.1:0", "shutdown_grace_s": 5, "shutdown_idle_s": 0},
        "providers": {
            f"p{number}": {"base_url": origin, "api_key": "provider-secret", "headers": {"X-Own": "header-secret"}}
            for number, origin in enumerate(origins)
        },
        "models": {
            "fast": {
                "endpoints": [{"provider": f"p{number}", "model_id": f"m{number}"} for number in range(len(origins))],
                "hedge_after": hedge_after,
            }
        },
    }
    if collector is not None:
        sections["tracing"] = {"endpoint": collector.endpoint, **tracing}
    return Proxy(settings_from(sections))


async def ask(
    http: aiohttp.ClientSession, proxy: Proxy, model: str = "fast", path: str = "/v1/chat/completions", **headers: str
) -> int:
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "the prompt"}]}
    headers = {"Authorization": "Bearer client-secret", **headers}
    async with http.post(url(proxy, f"{path}?key=query-secret"), json=body, headers=headers) as answer:
        with suppress(aiohttp.ClientPayloadError):
            await answer.read()
        return answer.status


def told(seen: list[tuple[str, str]], name: str = "traceparent") -> list[str]:
    return [value for each, value in seen if each == name]


def requests_and_attempts(collector: Collector) -> tuple[list[Received], list[Received]]:
    assert {span.kind for span in collector.spans} <= {SERVER, CLIENT}
    by_kind = ([span for span in collector.spans if span.kind == kind] for kind in (SERVER, CLIENT))
    return next(by_kind), next(by_kind)


async def test_a_success(collector: Collector, make_provider: MakeProvider, http: aiohttp.ClientSession) -> None:
    """The client's span, ours for the request, ours for the attempt: each is the parent of the next, to the provider."""
    origin, seen = await make_provider(well)
    before = time.time()
    async with proxy_to(origin, collector=collector, headers={"X-Token": " collector-secret"}) as proxy:
        assert await ask(http, proxy, traceparent=SAMPLED, tracestate="vendor=1") == 200

    (request,), (attempt,) = requests_and_attempts(collector)
    assert (request.trace_id, request.parent_id, request.name) == (TRACE, PARENT, "chat fast")
    assert (attempt.trace_id, attempt.parent_id, attempt.name) == (TRACE, request.id, "chat m0")
    assert told(seen[0]) == [f"00-{TRACE}-{attempt.id}-01"]
    assert told(seen[0], "tracestate") == ["vendor=1"]
    assert before - 0.1 < request.start_s <= attempt.start_s < attempt.end_s <= request.end_s + 0.001
    assert not request.is_error
    assert not attempt.is_error
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "p0",
        "pointsman.provider": "p0",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "http.response.status_code": 200,
        "pointsman.revision": 0,
    }
    assert str(request.attributes.pop("pointsman.request_id")).startswith("req_")
    assert request.attributes == common | {
        "gen_ai.request.model": "fast",
        "pointsman.attempts": 1,
        "pointsman.ending": "complete",
    }
    assert attempt.attributes == common | {
        "gen_ai.request.model": "m0",
        "server.address": "127.0.0.1",
        "server.port": int(origin.rpartition(":")[2].removesuffix("/v1")),
        "pointsman.attempt": 1,
    }
    assert collector.resources[0]["service.name"] == "pointsman"
    assert collector.headers[0]["x-token"] == "collector-secret"
    assert not any(secret.encode() in collector.raw for secret in SECRETS)


async def test_a_failover(collector: Collector, make_provider: MakeProvider, http: aiohttp.ClientSession) -> None:
    """Each attempt is a span of its own, and its provider is told of that one."""
    first, seen_first = await make_provider(overloaded)
    second, seen_second = await make_provider(well)
    async with proxy_to(first, second, collector=collector) as proxy:
        assert await ask(http, proxy) == 200

    (request,), (failed, served) = requests_and_attempts(collector)
    assert request.parent_id == ""
    assert {failed.parent_id, served.parent_id} == {request.id}
    assert len({request.id, failed.id, served.id}) == 3
    assert told(seen_first[0]) == [f"00-{request.trace_id}-{failed.id}-01"]
    assert told(seen_second[0]) == [f"00-{request.trace_id}-{served.id}-01"]
    assert failed.attributes["error.type"] == "unavailable"
    assert failed.attributes["http.response.status_code"] == 503
    assert [span.attributes["pointsman.attempt"] for span in (failed, served)] == [1, 2]
    assert "gen_ai.usage.input_tokens" not in failed.attributes
    assert served.attributes["gen_ai.usage.input_tokens"] == 7
    assert [span.is_error for span in (request, failed, served)] == [False, True, False]
    assert "error.type" not in request.attributes


async def test_a_stale_connection(
    collector: Collector, make_provider: MakeProvider, http: aiohttp.ClientSession
) -> None:
    """The second try at the same provider is a span of its own, and the provider is told of that one."""

    async def leaves_once(request: web.Request) -> web.StreamResponse:
        if len(seen) == 2:
            assert request.transport is not None
            request.transport.close()
        return await well(request)

    origin, seen = await make_provider(leaves_once)
    async with proxy_to(origin, collector=collector) as proxy:
        assert await ask(http, proxy) == 200
        assert await ask(http, proxy, traceparent=SAMPLED) == 200

    _, (_, failed, served) = requests_and_attempts(collector)
    assert [told(each) for each in seen[1:]] == [[f"00-{TRACE}-{span.id}-01"] for span in (failed, served)]
    assert (failed.parent_id, failed.attributes["error.type"]) == (served.parent_id, "broken")
    assert not served.is_error


async def test_a_hedge(collector: Collector, make_provider: MakeProvider, http: aiohttp.ClientSession) -> None:
    """Attempts beside each other are spans beside each other; one that was given up is no error."""
    is_over = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await is_over.wait()
        return web.Response()

    first, seen_first = await make_provider(slow)
    second, seen_second = await make_provider(well)
    async with proxy_to(first, second, collector=collector, hedge_after=0.01) as proxy:
        assert await ask(http, proxy) == 200
        is_over.set()

    (request,), (given_up, served) = requests_and_attempts(collector)
    assert request.attributes["pointsman.provider"] == "p1"
    assert told(seen_first[0]) == [f"00-{request.trace_id}-{given_up.id}-01"]
    assert told(seen_second[0]) == [f"00-{request.trace_id}-{served.id}-01"]
    assert {given_up.parent_id, served.parent_id} == {request.id}
    assert "http.response.status_code" not in given_up.attributes
    assert [span.is_error for span in (request, given_up, served)] == [False] * 3


async def test_a_broken_stream(collector: Collector, make_provider: MakeProvider, http: aiohttp.ClientSession) -> None:
    """Both spans say so, whatever the status was."""
    origin, _ = await make_provider(breaks_off)
    async with proxy_to(origin, collector=collector) as proxy:
        assert await ask(http, proxy, traceparent=SAMPLED) == 200

    (request,), (attempt,) = requests_and_attempts(collector)
    assert (request.parent_id, attempt.parent_id) == (PARENT, request.id)
    for span in (request, attempt):
        assert span.is_error
        assert span.attributes["error.type"] == "cut"
        assert span.attributes["http.response.status_code"] == 200
    assert request.attributes["pointsman.ending"] == "cut"


async def test_a_websocket(collector: Collector, make_provider: MakeProvider, http: aiohttp.ClientSession) -> None:
    """Its handshake carries our span too, beside what the client says in its own."""

    async def greets(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        await socket.close()
        return socket

    origin, seen = await make_provider(greets)
    async with proxy_to(origin, collector=collector) as proxy:
        address = url(proxy, "/v1/realtime?model=fast")
        async with http.ws_connect(address, headers={"traceparent": SAMPLED}) as socket:
            assert await socket.receive_str() == "hello"
            await socket.receive()

    (request,), (attempt,) = requests_and_attempts(collector)
    assert (request.name, request.parent_id, attempt.parent_id) == ("realtime fast", PARENT, request.id)
    assert told(seen[0]) == [f"00-{TRACE}-{attempt.id}-01"]


async def test_what_clients_make_up(
    collector: Collector, make_provider: MakeProvider, http: aiohttp.ClientSession
) -> None:
    """An unknown model is a span without an attempt; a path that leads nowhere and half characters spoil nothing."""
    origin, _ = await make_provider(well)
    async with proxy_to(origin, collector=collector) as proxy:
        assert await ask(http, proxy, "made up " + "x" * 400) == 404
        assert await ask(http, proxy, path="/nowhere/%ff") == 404
        path = "/v1beta/models/%ED%A0%80:generateContent"
        assert await ask(http, proxy, path=path) in {400, 404}
        assert await ask(http, proxy, "p0:\x00") in {200, 400}

    requests, _ = requests_and_attempts(collector)
    assert len(requests) == 4
    assert requests[0].attributes["error.type"] == "model_not_found"
    assert len(str(requests[0].attributes["gen_ai.request.model"])) == 256
    assert requests[1].name == "unknown"


@pytest.mark.parametrize("sample", [0, 1])
async def test_a_parent_decides_for_itself(
    sample: int, collector: Collector, make_provider: MakeProvider, http: aiohttp.ClientSession
) -> None:
    """`sample` is for requests that belong to no trace; providers are told in any case."""
    origin, seen = await make_provider(well)
    async with proxy_to(origin, collector=collector, sample=sample) as proxy:
        await ask(http, proxy, traceparent=SAMPLED)
        await ask(http, proxy, traceparent=UNSAMPLED)
        await ask(http, proxy, traceparent="nonsense", tracestate="of=nobody")

    requests, _ = requests_and_attempts(collector)
    assert [span.trace_id == TRACE for span in requests] == [True, False][: 1 + sample]
    parents = [told(each)[0].split("-") for each in seen]
    assert [trace_id == TRACE for _, trace_id, _, _ in parents] == [True, True, False]
    assert [flags for *_, flags in parents] == ["01", "00", f"0{sample}"]
    assert told(seen[2], "tracestate") == []


async def test_off(make_provider: MakeProvider, http: aiohttp.ClientSession) -> None:
    """What the client sends passes through."""
    origin, seen = await make_provider(well)
    async with proxy_to(origin, collector=None) as proxy:
        assert await ask(http, proxy, traceparent="nonsense", tracestate="vendor=1") == 200
        assert await ask(http, proxy) == 200

    assert (told(seen[0]), told(seen[0], "tracestate")) == (["nonsense"], ["vendor=1"])
    assert told(seen[1]) == []


async def test_a_configured_traceparent_stands(
    collector: Collector, make_provider: MakeProvider, http: aiohttp.ClientSession
) -> None:
    """What a provider's settings say wins, over us as over the client."""
    origin, seen = await make_provider(well)
    settings = settings_from(
        {
            "server": {"listen": "127.0.0.1:0", "shutdown_idle_s": 0},
            "tracing": {"endpoint": collector.endpoint},
            "providers": {"p0": {"base_url": origin, "api_key": "k", "headers": {"traceparent": "own"}}},
        }
    )
    async with Proxy(settings) as proxy:
        assert await ask(http, proxy, "p0:m", traceparent=SAMPLED) == 200

    assert told(seen[0]) == ["own"]


async def test_a_collector_that_is_silent_holds_up_no_stop(
    make_provider: MakeProvider,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The last spans are given up after a while, and requests never wait."""
    monkeypatch.setattr(tracer, "_LAST_EXPORT_S", 0.3)
    origin, _ = await make_provider(well)
    release = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/traces"
    collector = Collector()
    collector.endpoint = endpoint
    async with proxy_to(origin, collector=collector) as proxy:
        assert await ask(http, proxy) == 200
        began = time.monotonic()

    assert 0.3 <= time.monotonic() - began < 3
    assert "were not sent within" in caplog.text
    release.set()
    server.close()


def test_off_imports_nothing() -> None:
    """A proxy without tracing doesn't even need OpenTelemetry's packages."""
    code = (
        "import sys; from proxy.app import Proxy; from proxy.config import settings_from; Proxy(settings_from({}));"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start says what to install."""
    monkeypatch.delitem(sys.modules, "proxy.telemetry.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(StartError, match=r"pip install 'pointsman\[otel\]'"):
        Proxy(settings_from({"tracing": {"endpoint": "http://127.0.0.1:4318/v1/traces"}}))


@pytest.mark.parametrize(
    ("value", "is_read"),
    [
        (SAMPLED, True),
        (f"cc-{TRACE}-{PARENT}-01-what-comes-later", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01.more", False),
        (f"{SAMPLED}-more", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (SAMPLED.upper(), False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"{SAMPLED}, {SAMPLED}", False),
        ("", False),
    ],
)
def test_traceparents(value: str, is_read: bool) -> None:
    """As W3C Trace Context has them; what isn't one begins a new trace."""
    span = RequestSpan(Head.of([(b"traceparent", b"Traceparent", value.encode())]), 1.0)

    assert (span.trace_id == int(TRACE, 16)) == is_read
    assert span.parent_id == (int(PARENT, 16) if is_read else 0)
    assert span.is_sampled


def test_a_share_is_sampled() -> None:
    """About as many as `sample` says."""
    spans = [RequestSpan(Head.of([]), 0.25) for _ in range(4000)]

    assert 800 < sum(span.is_sampled for span in spans) < 1200


def test_settings() -> None:
    """Headers are secrets, faults are told where they are, and a reload leaves tracing as it is."""
    text = "tracing: {endpoint: 'http://c:4318/v1/traces', headers: {X-Key: collector-secret}, sample: 0.5}"
    settings = parse_settings(text, {})

    assert describe_settings(settings)["tracing"] == {
        "endpoint": "http://c:4318/v1/traces",
        "headers": {"X-Key": "***"},
        "sample": 0.5,
    }
    assert "collector-secret" not in repr(settings)
    assert describe_settings(parse_settings("{}", {}))["tracing"] is None
    assert in_force(parse_settings("{}", {}), settings)[1] == ("tracing",)
    assert in_force(parse_settings("{}", {}), settings)[0].tracing is None
    for faulty in (
        "tracing: {endpoint: 'http://u:collector-secret@c:4318/v1/traces'}",
        "tracing: {endpoint: 'http://c:4318/v1/traces?key=collector-secret'}",
        "tracing: {endpoint: 'c:4318'}",
        "tracing: {sample: 0.5}",
        "tracing: {endpoint: 'http://c', sample: 1.5}",
        "tracing: {endpoint: 'http://c', headers: {'a b': x}}",
    ):
        with pytest.raises(ConfigError, match="tracing") as error:
            parse_settings(faulty, {})
        assert "collector-secret" not in str(error.value)
