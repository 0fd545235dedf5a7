"""What a provider may send, and what it may not: no answer is ever taken for another request's."""

import asyncio
import base64
import json
import re
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.app import Proxy
from proxy.upstream.parser import AnswerParser, InvalidAnswerError
from proxy.wire import NOT_RETURNED
from tests.conftest import MakeProxy, url

DATA = Path(__file__).parent.parent / "data" / "answers"
VECTORS = [json.loads(line) for line in (DATA / "vectors.jsonl").read_text().splitlines()]
ASK = {"model": "up:m", "messages": []}
Written = tuple[bytes, bytes, bytes]
"""A field as it is sent: a name, what stands behind the colon, a value."""
Answer = tuple[list[Written], list[list[Written]], list[Written], bytes, bool]
"""The fields of an answer, those of the interim ones before it, of its trailer, its body, and whether it is chunked."""
TAIL = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"


class Desynchroniser:
    """Answers the first request of each connection with given bytes, and every other with the request's own id."""

    def __init__(self) -> None:
        self.answer = b""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))  # type: ignore[index] # sent
                asked = re.search(rb"(?i)x-ask: (\w+)", head)
                body = asked[1] if asked else b"?"
                if body == b"first":
                    writer.write(self.answer)
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def provider() -> AsyncIterator[Desynchroniser]:
    async with Desynchroniser() as provider:
        yield provider


@pytest.fixture
async def proxy(make_proxy: MakeProxy, provider: Desynchroniser) -> Proxy:
    timeouts = {"first_byte_s": 0.1, "idle_s": 0.1}
    return await make_proxy(providers={"up": {"base_url": provider.origin, "timeouts": timeouts}})


@pytest.mark.parametrize("tail", [b"", TAIL], ids=["alone", "poisoned"])
async def test_no_answer_is_taken_for_anothers(
    tail: bytes, proxy: Proxy, provider: Desynchroniser, http: aiohttp.ClientSession
) -> None:
    """After each vector, with another answer right behind it or not, the next request gets its own answer."""
    for number, vector in enumerate(VECTORS):
        provider.answer = base64.b64decode(vector["raw_bytes_base64"]) + tail
        await ask(http, proxy, "first")
        assert await ask(http, proxy, f"next{number}") == f"next{number}".encode(), vector["id"]


async def ask(http: aiohttp.ClientSession, proxy: Proxy, word: str) -> bytes:
    """The answer's body as far as it comes."""
    try:
        async with http.post(url(proxy, "/v1/x"), json=ASK, headers={"X-Ask": word}) as response:
            return await response.read()
    except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError):
        return b""


def parse(pieces: list[bytes]) -> tuple[object, ...]:
    """What comes of an answer that is fed in these pieces: its parts, or what is wrong with it."""
    parser = AnswerParser()
    parser.begin()
    body = b""
    try:
        for piece in pieces:
            if parser.is_complete:
                break
            parser.feed(piece)
            body += parser.take()
    except InvalidAnswerError:
        return ("invalid",)
    return parser.status, parser.reason, parser.head.fields, body, parser.is_complete


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_it_does_not_matter_how_an_answer_is_cut(vector: dict[str, str]) -> None:
    """Byte by byte an answer gives what it gives as a whole, as far as it goes."""
    raw = base64.b64decode(vector["raw_bytes_base64"])
    whole = parse([raw])
    bytewise = parse([raw[n : n + 1] for n in range(len(raw))])

    # In one piece, what is wrong behind the answer is seen together with it.
    assert whole in (bytewise, ("invalid",))


@given(st.data(), st.integers(200, 599), st.binary(max_size=200), st.sampled_from(["length", "chunked"]))
def test_any_split(data: st.DataObject, status: int, body: bytes, framing: str) -> None:
    """However a valid answer is framed and cut, the same comes out."""
    if status in {204, 304}:
        body = b""
    head = b"HTTP/1.1 %d Some Reason\r\nX-A: 1\r\nx-a: 2\r\n" % status
    if framing == "length":
        raw = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        sizes = data.draw(st.lists(st.integers(1, 50), min_size=1))
        chunks, rest = [], body
        for size in sizes:
            chunks.append(rest[:size])
            rest = rest[size:]
        chunks.append(rest)
        framed = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
        raw = head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\nX-Trailer: 1\r\n\r\n"
        if status in {204, 304}:
            return
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + raw
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=10)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    got = parse(pieces)

    assert got[:2] == (status, b"Some Reason")
    assert got[2][:2] == [(b"x-a", b"X-A", b"1"), (b"x-a", b"x-a", b"2")]  # type: ignore[index] # headers
    assert got[3:] == (body, True)


TOKENS = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=6).map(str.encode)
NAMES = TOKENS | st.sampled_from([b"Set-Cookie", b"set-cookie", b"x_a", b"X-A", b"%b", b"%.0b"])
# What llhttp leaves out before a value is no part of it; what stands behind it stays.
VALUES = st.binary(max_size=8).filter(lambda value: not re.search(rb"^[ \t]|[^\t -~\x80-\xff]", value))
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from([b"", b" ", b"\t "]), VALUES), max_size=6)
ANSWERS = st.tuples(FIELDS, st.lists(FIELDS, max_size=2), FIELDS, st.binary(max_size=20), st.booleans())


@given(st.lists(ANSWERS, min_size=1, max_size=3), st.booleans(), st.data())
def test_heads_on_one_connection(answers: list[Answer], alike: bool, data: st.DataObject) -> None:
    """However they are cut, with interim heads before them and trailers behind, each gives its own fields alone."""
    parser = AnswerParser()
    for fields, interims, trailer, body, is_chunked in answers + answers[-1:] * alike:
        raw = b"".join(b"HTTP/1.1 103 Early Hints\r\n%b\r\n" % written(interim) for interim in interims)
        framing = (
            (b"Transfer-Encoding", b" ", b"chunked") if is_chunked else (b"Content-Length", b" ", b"%d" % len(body))
        )
        at = data.draw(st.integers(0, len(fields)))
        own = [*fields[:at], framing, *fields[at:]]
        raw += b"HTTP/1.1 200 OK\r\n%b\r\n" % written(own)
        if is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            raw += b"%b0\r\n%b\r\n" % (chunk, written(trailer))
        else:
            raw += body
        cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=6)))
        parser.begin()
        got = b""
        for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
            parser.feed(raw[start:end])
            got += parser.take()
        head = parser.head

        assert parser.is_complete
        assert got == body
        assert head.fields == [(name.lower(), name, value) for name, _, value in own]
        assert head.values == {
            name.lower(): b", ".join(value for other, _, value in own if other.lower() == name.lower())
            for name, _, _ in own
        }
        kept = [(name, b" ", value) for name, _, value in own if name.lower() not in NOT_RETURNED]
        assert head.lines_without(NOT_RETURNED) == written(kept)


def written(fields: list[Written]) -> bytes:
    return b"".join(name + b":" + space + value + b"\r\n" for name, space, value in fields)


def test_nothing_is_kept_of_a_trailer_without_end() -> None:
    """It comes as long as the provider likes, and takes no room."""
    parser = AnswerParser()
    parser.begin()
    parser.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    piece = b"X-Trailer: %b\r\n" % (b"x" * 1000) * 60
    tracemalloc.start()
    try:
        for _ in range(100):
            parser.feed(piece)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 10 * len(piece)
    parser.feed(b"\r\n")
    assert parser.is_complete
    assert parser.head.fields == [(b"transfer-encoding", b"Transfer-Encoding", b"chunked")]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: foo\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX:\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x7f\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\xff: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\x16\x03\x01",
    ],
)
def test_answers_that_are_refused(head: bytes) -> None:
    """Doubtful framing, what is no HTTP/1.1, and heads without end."""
    assert parse([head]) == ("invalid",)


@pytest.mark.parametrize("size", [1000, 200_000], ids=["in pieces", "at once"])
def test_a_head_is_bounded_however_it_is_cut(size: int) -> None:
    """Also where all of it comes at once; a long body right behind a short head is none of it."""
    head, end = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n", b"\r\n" + b"x" * 100_000
    long, short = head + b"X: %b\r\n" % (b"x" * 100_000) + end, head + end

    assert parse([long[n : n + size] for n in range(0, len(long), size)]) == ("invalid",)
    assert parse([short[n : n + size] for n in range(0, len(short), size)])[0] == 200
