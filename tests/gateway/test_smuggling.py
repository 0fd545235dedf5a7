"""Whatever a client sends, one request stays one: nothing that follows is taken for a part of it, or it for a part."""

import asyncio
import base64
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h11
import pytest

from proxy.app import Proxy
from tests.conftest import MakeProxy
from tests.gateway.counting_provider import CountingProvider

DATA = Path(__file__).parent.parent / "data" / "requests"
with gzip.open(DATA / "vectors.jsonl.gz", "rt") as lines:
    VECTORS: list[dict[str, Any]] = [json.loads(line) for line in lines]

# Taken although the vector's suite would refuse it, and why that is safe.
TAKEN = {
    "h11probe/MAL-EMPTY-REQUEST": "nothing was sent",
    "h11probe/SMUG-CL0-BODY-POISON": "a whole request, and behind it the beginning of one that is refused",
    "h11probe/COMP-POST-CL-UNDERSEND": "a body that lacks a part, which is then what comes next",
    "llhttp/request/connection/crlf-between-requests-implicit-keep-alive": "a whole request before the one to refuse",
}
# The vector is about the missing Host, all others only lack one.
WITHOUT_HOST = "h11probe/RFC9112-7.1-MISSING-HOST"

# A request line that names nothing special; what follows it is the point of most vectors.
PLAIN_LINE = re.compile(rb"\A(?:GET|POST|PUT) /[\w/.?=&-]{0,100} HTTP/1\.1\r\n")
# The model stands in the path, so that any body at all is forwarded.
AIM = b"POST /v1beta/models/up:m:generateContent?n=%d HTTP/1.1\r\n"


class Exchange(NamedTuple):
    """What came of a vector and the marked request behind it."""

    statuses: list[int]
    bodies: list[bytes]


@pytest.fixture
async def provider() -> AsyncIterator[CountingProvider]:
    async with CountingProvider() as provider:
        yield provider


@pytest.fixture
async def proxy(make_proxy: MakeProxy, provider: CountingProvider, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    # What a vector leaves unfinished ends with these limits.
    monkeypatch.setattr("proxy.gateway.connections._KEEPALIVE_S", 1.0)
    section = {"protocols": {"gemini": f"{provider.origin}/v1beta", "openai": f"{provider.origin}/v1"}}
    return await make_proxy(server={"client_idle_s": 0.5}, providers={"up": section})


def mark(number: int) -> bytes:
    """A well-formed request with a mark; the connection ends with its answer."""
    body = b'{"model":"up:m","messages":[]}'
    head = b"POST /v1/chat/completions?mark=%d HTTP/1.1\r\nHost: x\r\nx-mark: mark%d\r\nConnection: close\r\n"
    return (head + b"Content-Length: %d\r\n\r\n%b") % (number, number, len(body), body)


def as_it_is(_: int, vector: dict[str, Any]) -> bytes:
    """The vector's bytes, with a Host where it lacks one that nobody wanted to leave out."""
    raw = base64.b64decode(vector["raw_bytes_base64"])
    if vector.get("no_host") and vector["id"] != WITHOUT_HOST:
        line, end, rest = raw.partition(b"\r\n")
        return line + end + b"Host: x\r\n" + rest if end else raw
    return raw


def aimed(number: int, vector: dict[str, Any]) -> bytes | None:
    """The same as a request that is forwarded, if its first line is not the point."""
    raw = as_it_is(number, vector)
    line = PLAIN_LINE.match(raw)
    return AIM % number + raw[line.end() :] if line else None


async def exchange(proxy: Proxy, raw: bytes, marked: bytes, *, together: bool) -> Exchange:
    """Send both, in one segment or the second after the first was answered; read until the connection is closed."""
    reader, writer = await asyncio.open_connection(proxy.address.host, proxy.address.port)
    got = b""
    try:
        if together:
            writer.write(raw + marked)
        else:
            writer.write(raw)
            # No answer within this time is none: the vector lacks its end.
            try:
                async with asyncio.timeout(0.3):
                    got = await reader.read(65536)
            except TimeoutError:
                pass
            writer.write(marked)
        async with asyncio.timeout(20):
            while piece := await reader.read(65536):
                got += piece
    except ConnectionError:
        pass
    finally:
        writer.close()
    return answers(got)


def answers(got: bytes) -> Exchange:
    """The final answers, read by another parser than the proxy's."""
    statuses, bodies = [], []
    while got:
        head, blank, got = got.partition(b"\r\n\r\n")
        assert blank, "half an answer"
        status = re.fullmatch(rb"HTTP/1\.[01] (\d{3}) .*", head.split(b"\r\n")[0])
        assert status, head
        if status[1] == b"100":
            continue
        length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])  # type: ignore[index] # there is one
        # To a HEAD, of which there are some among the vectors, the answer ends with its head.
        body, got = (b"", got) if got.startswith(b"HTTP/1.1 ") or not got else (got[:length], got[length:])
        statuses.append(int(status[1]))
        bodies.append(body)
    return Exchange(statuses, bodies)


def read_by_h11(raw: bytes) -> list[bytes]:
    """The bodies of the requests in some bytes, as another parser of HTTP reads them, up to what it refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1024 * 1024)
    if raw:
        connection.receive_data(raw)
    bodies: list[bytes] = []
    body = b""
    try:
        while not isinstance(event := connection.next_event(), type):
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                bodies.append(body)
                body = b""
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()
    except (h11.RemoteProtocolError, h11.LocalProtocolError):
        pass
    return bodies


@pytest.mark.parametrize("together", [True, False], ids=["in one segment", "one after the other"])
@pytest.mark.parametrize("form", [aimed, as_it_is])
async def test_no_vector_desynchronises(
    form: Callable[[int, dict[str, Any]], bytes | None], together: bool, proxy: Proxy, provider: CountingProvider
) -> None:
    """Behind each vector a marked request gets its own answer or the connection is closed, and none becomes two."""
    formed = {number: form(number, vector) for number, vector in enumerate(VECTORS)}
    sent = {number: raw for number, raw in formed.items() if raw is not None}
    gate = asyncio.Semaphore(50)

    async def one(number: int) -> Exchange:
        async with gate:
            return await exchange(proxy, sent[number], mark(number), together=together)

    results = dict(zip(sent, await asyncio.gather(*map(one, sent)), strict=True))
    arrived: dict[int, list[bytes]] = {number: [] for number in sent}
    marks: dict[int, int] = dict.fromkeys(sent, 0)
    for request in provider.requests:
        if found := re.fullmatch(r"/v1beta/models/m:generateContent\?n=(\d+)", request.target):
            arrived[int(found[1])].append(request.body)
        else:
            marks[int(request.target.removeprefix("/v1/chat/completions?mark="))] += 1

    assert not provider.stray
    assert len(sent) > (250 if form is aimed else 500)
    faults = {
        VECTORS[number]["id"]: (fault, sent[number][:300], result)
        for number, result in results.items()
        if (fault := list(faults_of(number, sent[number], result, arrived[number], marks[number])))
    }
    assert not faults, "\n".join(f"{name}: {what}" for name, what in faults.items())


def faults_of(number: int, raw: bytes, result: Exchange, arrived: list[bytes], marks: int) -> Iterator[str]:
    """What is wrong with what came of a vector."""
    own = b"mark%d" % number
    if result.bodies.count(own) > 1 or own in result.bodies[:-1]:
        yield "the marked request's answer is not the last one"
    if marks != result.bodies.count(own):
        yield "the marked request reached the provider without being answered"
    # The other parser refuses some that are one request to anybody: behind a blank line, or with two spaces in a row.
    if len(result.statuses) > max(1, len(read_by_h11(raw))) + 1:
        yield "more answers than requests"
    if len(arrived) > 1:
        yield "one request became two"
    if arrived != read_by_h11(raw + mark(number))[: len(arrived)]:
        yield "another request arrived"
    vector = VECTORS[number]
    if vector["expect"] == "reject" and vector["id"] not in TAKEN:
        if arrived or own in result.bodies:
            yield "what must be refused was taken"
        if result.statuses and not 400 <= result.statuses[0] < 600:
            yield "what must be refused was answered"


HIDDEN = b"POST /v1beta/models/up:m:generateContent?hidden HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
FRAMED = {
    "length": (b"Content-Length: %d\r\n" % len(HIDDEN), HIDDEN),
    "chunks": (CHUNKED, b"%x;a=b\r\n%b\r\n0\r\nHost: y\r\n\r\n" % (len(HIDDEN), HIDDEN)),
}
HEADS = {
    "plain": b"",
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "WebSocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
    "WebSocket without Connection": b"Upgrade: websocket\r\n",
    "Expect": b"Expect: 100-continue\r\n",
    "hidden lengths": b"Content_Length: 0\r\nTransfer_Encoding: identity\r\nX-Content-Length: 0\r\n",
    "connection options": b"Connection: keep-alive, Content-Length, Transfer-Encoding, Host\r\n",
}


@pytest.mark.parametrize("together", [True, False], ids=["in one segment", "one after the other"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("framing", FRAMED)
async def test_a_body_that_looks_like_a_request(
    framing: str, head: str, together: bool, proxy: Proxy, provider: CountingProvider
) -> None:
    """It arrives as a body, whatever the head says beside its framing, and the next request gets its own answer."""
    line, body = FRAMED[framing]
    raw = AIM % 1 + b"Host: x\r\nx-mark: first\r\n" + HEADS[head] + line + b"\r\n" + body
    result = await exchange(proxy, raw, mark(2), together=together)

    assert result.bodies == [b"first", b"mark2"]
    assert [request.body for request in provider.requests][:1] == [HIDDEN]
    assert len(provider.requests) == 2
    assert not provider.stray
