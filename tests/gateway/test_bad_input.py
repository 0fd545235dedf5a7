"""Whatever a client sends, it gets a clear error in its own protocol's shape, and the log stays free of tracebacks."""

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from yarl import URL

from proxy.app import Proxy
from proxy.simulator import StrawProvider
from tests.conftest import MakeProxy, provider_section, url

JSON = {"Content-Type": "application/json"}

BAD_BODIES = {
    "empty": (b"", "empty"),
    "not JSON": (b"model=gpt-4o", "not valid JSON"),
    "array": (b"[1]", "object"),
    "string": (b'"model"', "object"),
    "no model": (b"{}", "`model`"),
    "null": (b'{"model": null}', "`model`"),
    "number": (b'{"model": 4}', "`model`"),
    "object": (b'{"model": {"id": "fast"}}', "`model`"),
    "empty name": (b'{"model": ""}', "`model`"),
    "10 kB long": (b'{"model": "%s"}' % (b"x" * 10_000), "512"),
    "control characters": (b'{"model": "a\\u0000b"}', "control"),
    "100,000 levels": (b'{"model": "fast", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
    "invalid UTF-8": (b'{"model": "fast", "x": "\xff"}', "UTF-8"),
    "invalid UTF-8 in the name": (b'{"model": "\xff"}', "UTF-8"),
    "truncated": (b'{"model": "fast", "messages": [', "JSON"),
    "garbage behind it": (b'{"model": "fast"} x', "JSON"),
    "NaN": (b'{"model": "fast", "x": NaN}', "JSON"),
}


@pytest.fixture(autouse=True)
def _no_tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert not [record for record in caplog.records if record.exc_info and record.levelno >= logging.WARNING]


@pytest.mark.parametrize("case", BAD_BODIES)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_bad_json_bodies(case: str, path: str, proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """A body that can't be routed gets a 400 that says why, and the connection stays usable."""
    body, reason = BAD_BODIES[case]
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.post(url(proxy, path), data=body, headers=JSON) as response:
            error = await response.json()
            connection = response.connection
        async with session.post(url(proxy, path), data=b'{"model": "fast", "messages": []}', headers=JSON) as after:
            assert after.status == 200

    assert response.status == 400
    assert connection is None or not connection.closed
    assert reason in error["error"]["message"]
    if path == "/v1/messages":
        assert error["type"] == "error"
        assert error["error"]["type"] == "invalid_request_error"
        assert error["request_id"] == response.headers["x-request-id"]
    else:
        assert set(error["error"]) == {"message", "type", "param", "code"}


async def test_unknown_content_type_is_read_as_json(
    proxy: Proxy, straw: StrawProvider, http: aiohttp.ClientSession
) -> None:
    """What the body says counts, not its label: `curl -d` says it were a form."""
    for label in ("application/x-www-form-urlencoded", "text/plain", "application/x-unheard-of"):
        async with http.post(
            url(proxy, "/v1/chat/completions"),
            data=b'{"model": "fast", "messages": []}',
            headers={"Content-Type": label},
        ) as response:
            assert response.status == 200
    async with http.post(
        url(proxy, "/v1/chat/completions"), data=b"model=fast", headers={"Content-Type": "text/plain"}
    ) as refused:
        assert refused.status == 400


async def test_body_over_the_limit(make_proxy: MakeProxy, straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """413 beyond the limit, whether the length is announced, chunked, or hidden in compression."""
    proxy = await make_proxy(server={"max_body_bytes": 10_000}, providers={"straw": provider_section(straw)})
    large = json.dumps({"model": "straw:m", "messages": [], "x": "y" * 10_000}).encode()

    async def chunked() -> AsyncIterator[bytes]:
        yield large

    for data, headers in (
        (large, JSON),
        (chunked(), JSON),
        (gzip.compress(large), {**JSON, "Content-Encoding": "gzip"}),
    ):
        async with http.post(url(proxy, "/v1/chat/completions"), data=data, headers=headers) as response:
            assert response.status == 413
            assert "10000 bytes" in (await response.json())["error"]["message"]
    assert not straw.requests


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate"])
async def test_compressed_bodies_are_forwarded_decoded(
    encoding: str, proxy: Proxy, straw: StrawProvider, http: aiohttp.ClientSession
) -> None:
    """A compressed body is read for its model and goes to the provider plain."""
    body = b'{"model": "fast", "messages": []}'
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(body[:10]) + gzip.compress(body[10:]),
        "deflate": zlib.compress(body),
        "raw deflate": raw.compress(body) + raw.flush(),
    }[encoding]
    headers = {**JSON, "Content-Encoding": encoding.rpartition(" ")[2]}
    async with http.post(url(proxy, "/v1/chat/completions"), data=packed, headers=headers) as response:
        assert response.status == 200

    seen = straw.requests[-1]
    assert seen.body == b'{"model": "straw-small", "messages": []}'
    assert "content-encoding" not in {name.lower() for name, _ in seen.headers}


async def test_broken_or_unknown_compression(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """An unknown encoding is 415; a stream that is broken or ends early is 400."""
    whole = gzip.compress(b'{"model": "fast"}')
    for data, encoding, status in (
        (b"x", "br", 415),
        (b"x", "gzip, gzip", 415),
        (b"xyz", "gzip", 400),
        (whole[:-4], "gzip", 400),
    ):
        async with http.post(
            url(proxy, "/v1/chat/completions"), data=data, headers={**JSON, "Content-Encoding": encoding}
        ) as response:
            assert response.status == status
            assert (await response.json())["error"]["message"]


async def exchange(proxy: Proxy, raw: bytes, *, eof: bool = False) -> bytes:
    """Send bytes over a bare connection, read until the proxy closes it."""
    reader, writer = await asyncio.open_connection(proxy.address.host, proxy.address.port)
    try:
        writer.write(raw)
        if eof:
            writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
        (b"POST /v1/" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", b"400"),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}", b"400"),
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"400",
        ),
    ],
)
async def test_requests_that_are_not_http(raw: bytes, status: bytes, proxy: Proxy) -> None:
    """What can't be parsed gets JSON that says so, quotes nothing of the request, and ends the connection."""
    answer = await exchange(proxy, raw)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == status
    error = json.loads(body)
    # Where only the body is broken, the head told which protocol the client speaks.
    assert "type" not in error if b"chunked" in raw else error["type"] == "error"
    assert error["error"]["message"]
    assert "aaaa" not in error["error"]["message"]


async def test_body_shorter_than_announced(proxy: Proxy, straw: StrawProvider) -> None:
    """A client that hangs up within its body has sent nothing to any provider."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    answer = await exchange(proxy, head + b'{"model": "fast"}', eof=True)

    assert answer == b"" or b"400" in answer.split(b"\r\n")[0]
    assert not straw.requests


async def test_stalled_body_times_out(make_proxy: MakeProxy, straw: StrawProvider) -> None:
    """A body that pauses longer than the limit is answered 408."""
    proxy = await make_proxy(server={"client_idle_s": 0.05}, providers={"straw": provider_section(straw)})
    reader, writer = await asyncio.open_connection(proxy.address.host, proxy.address.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    async with asyncio.timeout(10):
        status = await reader.readline()
    writer.close()
    await writer.wait_closed()

    assert b" 408 " in status


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
    [
        ("POST", "/chat/completions", 404, "/v1/chat/completions"),
        ("GET", "/v2/nothing", 404, "/v1/models"),
        ("GET", "/v1/models/unknown", 404, "unknown"),
        ("DELETE", "/v1/responses/resp_1", 405, "DELETE"),
        ("POST", "/v1/realtime", 400, "model"),
        ("POST", "/v1/../admin/routes", 400, "path"),
        ("POST", "/v1/%2e%2e/admin/routes", 400, "path"),
        ("POST", "/v1beta/models/:generateContent", 400, "model"),
    ],
)
async def test_wrong_paths(
    method: str, path: str, status: int, word: str, proxy: Proxy, http: aiohttp.ClientSession
) -> None:
    """A wrong path or method is told what there is instead."""
    target = URL(url(proxy, path), encoded=True)
    async with http.request(method, target, data=b"{}", headers=JSON) as response:
        assert response.status == status
        assert word in (await response.json())["error"]["message"]


async def test_a_protocol_that_the_provider_does_not_speak(
    make_proxy: MakeProxy, straw: StrawProvider, http: aiohttp.ClientSession
) -> None:
    """A request in a protocol that the target's provider doesn't speak gets a 400 that names both."""
    proxy = await make_proxy(
        providers={"straw": {"protocols": {"openai": f"{straw.origin}/v1"}}},
        models={"fast": {"endpoints": [{"provider": "straw", "model_id": "m"}]}},
    )
    async with http.post(url(proxy, "/v1/messages"), json={"model": "fast"}) as response:
        error = await response.json()

    assert response.status == 400
    assert "`straw`" in error["error"]["message"]
    assert "Anthropic" in error["error"]["message"]
    assert "OpenAI" in error["error"]["message"]


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/chat/completions", {"message", "type", "param", "code"}),
        ("/v1/messages", {"type", "message"}),
        ("/v1/models/nope:generateContent", {"code", "message", "status"}),
        ("/v1beta/models/nope:generateContent", {"code", "message", "status"}),
    ],
)
async def test_an_unknown_model_in_each_protocol(
    path: str, shape: set[str], proxy: Proxy, http: aiohttp.ClientSession
) -> None:
    """404 in the shape of the protocol that the path belongs to."""
    async with http.post(url(proxy, path), data=b'{"model": "nope"}') as response:
        assert response.status == 404
        assert set((await response.json())["error"]) == shape
