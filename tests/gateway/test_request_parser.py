"""What the request parser makes of bytes: the same however they are cut, and nothing of what can be read in two ways."""

from typing import NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import given

from proxy.errors import InvalidRequestError
from proxy.gateway.parser import RequestParser
from proxy.gateway.request import Request

POST = b"POST /v1/x HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /b HTTP/1.1\r\nHost: y\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Flow:
    """Paces nothing: all that is fed is kept."""

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def gather(self, body: bytearray, request: Request) -> None: ...

    def invite_body(self) -> None: ...


class Parsed(NamedTuple):
    """What came of some bytes."""

    requests: list[tuple[object, ...]]
    error: str
    behind: bytes


def parse(*pieces: bytes) -> Parsed:
    """Feed the pieces one after the other, up to the first that is refused."""
    parser = RequestParser(Flow(), "client")
    got: list[Request] = []
    error = ""
    for piece in pieces:
        try:
            parser.feed(piece)
        except InvalidRequestError as refused:
            error = str(refused.status)
        while parser.requests:
            got.append(parser.requests.popleft())
        if error:
            break
    seen = [_parts(request) for request in got if not request.is_websocket]
    return Parsed(seen, error, b"".join(request.take() for request in got if request.is_websocket))


def _parts(request: Request) -> tuple[object, ...]:
    # Another length alone makes another head, which a parser that remembers heads needn't look at again.
    fields = [(name, value.rstrip(b" \t")) for plain, name, value in request.head.fields if plain != b"content-length"]
    target = (request.path, request.query)
    return (request.method, *target, fields, request.keep_alive, request.is_complete, request.take())


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


TOKEN = st.text("abcdefgXYZ0189-_!#$%&'*+.^`|~", min_size=1, max_size=12).map(str.encode)
VALUE = st.binary(max_size=20).map(lambda value: bytes(b for b in value if b >= 32 and b != 127).strip())
TAKEN = {
    *(b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect", b"proxy-connection"),
}
FIELDS = st.lists(st.tuples(TOKEN, VALUE).filter(lambda field: field[0].lower() not in TAKEN), max_size=5)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, tuple[object, ...]]:
    """A valid request's bytes, and what is in them."""
    method = draw(st.sampled_from(["POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS"]))
    path, query = draw(st.sampled_from([("/v1/x", ""), ("/", "a=1&b"), ("/v1/models/a%2Fb:c", "")]))
    target = f"{path}?{query}" if query else path
    if draw(st.booleans()):
        target = f"http://other.example:80{target}"
    fields = [(b"Host", b"x:1"), *draw(FIELDS)]
    body = draw(st.binary(max_size=100))
    framing = draw(st.sampled_from(["length", "chunked", "upgrade", "chunked upgrade"]))
    if "upgrade" in framing:
        fields += [(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AA")]
    if "chunked" in framing:
        fields.append((b"Transfer-Encoding", b"chunked"))
        framed = _chunks(draw, body)
        length = b""
    else:
        framed = body
        length = b"Content-Length: %d\r\n" % len(body)
    space = draw(st.sampled_from([b"", b" ", b"  ", b"\t"]))
    lines = b"".join(b"%b:%b%b%b\r\n" % (name, space, value, space) for name, value in fields)
    # llhttp refuses a tab there, which is allowed but looks like an attempt to hide the coding.
    lines = lines.replace(b"chunked\t", b"chunked")
    raw = f"{method} {target} HTTP/1.1\r\n".encode() + length + lines + b"\r\n" + framed
    return raw, (method, path, query, fields, True, True, body)


def _chunks(draw: st.DrawFn, body: bytes) -> bytes:
    framed, rest = b"", body
    for size in [*draw(st.lists(st.integers(1, 20), max_size=8)), 100]:
        if rest:
            digits = b"%0*X" % (draw(st.integers(1, 4)), len(rest[:size]))
            extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c;\\"d"', b";a=b;c"]))
            framed += digits + extension + b"\r\n" + rest[:size] + b"\r\n"
        rest = rest[size:]
    trailer = b"".join(b"%b: %b\r\n" % field for field in draw(FIELDS))
    return framed + b"0\r\n" + draw(st.sampled_from([b"", b"Host: z\r\nAuthorization: z\r\n"])) + trailer + b"\r\n"


@given(st.data(), st.lists(requests(), min_size=1, max_size=4))
def test_what_goes_in_comes_out(data: st.DataObject, sent: list[tuple[bytes, tuple[object, ...]]]) -> None:
    """Requests of any framing, one behind the other and cut anywhere, come out one by one as they were."""
    raw = b"".join(each for each, _ in sent)
    places = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=12)))

    expected = Parsed([parts for _, parts in sent], "", b"")
    assert parse(*cut(raw, places)) == expected
    assert parse(raw) == expected
    assert parse(*(raw[n : n + 1] for n in range(len(raw)))) == expected


@given(st.data(), st.lists(st.tuples(st.binary(max_size=40), st.booleans()), min_size=2, max_size=8))
def test_a_head_that_comes_again(data: st.DataObject, sent: list[tuple[bytes, bool]]) -> None:
    """A client that repeats its head with bodies of other lengths, whole or cut, is read each time as it asks."""
    line = data.draw(st.sampled_from([b"POST /v1/x HTTP/1.1", b"GET /v1/y HTTP/1.1"]))
    name = data.draw(st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"]))
    around = data.draw(
        st.sampled_from([(b"Host: x\r\n", b""), (b"", b"Host: x\r\n"), (b"Host: x\r\nA: 1\r\n", b"B:\r\n")])
    )
    pieces: list[bytes] = []
    for body, is_whole in sent:
        raw = line + b"\r\n" + around[0] + b"%b: %d\r\n" % (name, len(body)) + around[1] + b"\r\n" + body
        pieces += [raw] if is_whole else cut(raw, [data.draw(st.integers(1, len(raw) - 1))])

    got = parse(*pieces)
    assert [each[-1] for each in got.requests] == [body for body, _ in sent]
    assert got == parse(b"".join(pieces))


# What follows a head that was read before, and isn't the same again.
AGAIN = POST + b"Content-Length: 3\r\n\r\nabc"


@pytest.mark.parametrize(
    "second",
    [
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        POST + b"Content-Length: \r\n\r\n",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Content-Length: 3 3\r\n\r\nabc",
        POST + b"Content-Length: 0x3\r\n\r\nabc",
        POST + b"Content-Length: 3\r\n\r\nabcd" + b"\r\n",
        POST + b"Content-Length: \xb2\r\n\r\nab",
        POST + b"Content-Length: 3\n\r\n\r\nabc",
    ],
)
def test_a_head_that_is_nearly_the_same(second: bytes) -> None:
    """A head that differs in more than its length is refused where it would be as the first on its connection."""
    assert parse(AGAIN, AGAIN, second)[1:] == parse(AGAIN + AGAIN + second)[1:] == ("400", b"")


@given(st.data(), st.binary(max_size=40))
def test_invalid_stays_invalid(data: st.DataObject, rubbish: bytes) -> None:
    """Bytes that differ from a request in some places are taken or refused alike, however they are cut."""
    raw, _ = data.draw(requests())
    place = data.draw(st.integers(0, len(raw)))
    raw = raw[:place] + rubbish + raw[place + data.draw(st.integers(0, 3)) :] + GET
    places = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=8)))
    whole, pieces = parse(raw), parse(*cut(raw, places))

    assert pieces.error == whole.error
    assert [each[:5] for each in pieces.requests] == [each[:5] for each in whole.requests]


BODY = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
    "websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "nothing": b"Connection: Upgrade\r\nUpgrade:\r\n",
    "without Connection": b"Upgrade: websocket\r\n",
}


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_the_body_of_a_request_to_upgrade(upgrade: str, is_chunked: bool) -> None:
    """A POST that asks for another protocol keeps its body, which is never read as another request."""
    framing, body = b"Content-Length: %d\r\n\r\n" % len(BODY), BODY
    if is_chunked:
        framing, body = b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\nT: 1\r\n\r\n" % (len(BODY), BODY)
    raw = POST + UPGRADES[upgrade] + framing + body + GET
    for pieces in ([raw], [raw[n : n + 1] for n in range(len(raw))]):
        got = parse(*pieces)

        assert [(each[1], each[-1]) for each in got.requests] == [("/v1/x", BODY), ("/b", b"")]
        assert not got.error


def test_a_websocket_needs_its_connection_option() -> None:
    """`Upgrade` alone, or in HTTP/1.0, asks for nothing: what follows is another request (RFC 9110 §7.8)."""
    alone = b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"
    old = b"GET /v1/realtime?model=m HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

    assert [(each[1], each[-2]) for each in parse(alone + GET).requests] == [("/v1/realtime", True), ("/b", True)]
    assert [(each[1], each[-2]) for each in parse(old).requests] == [("/v1/realtime", True)]


def test_all_behind_a_request_for_a_websocket_belongs_to_it() -> None:
    """Also what looks like a request that came before."""
    handshake = b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

    assert parse(AGAIN, handshake + AGAIN, AGAIN).behind == AGAIN + AGAIN


def test_heads_behind_each_other_are_not_one_large_head() -> None:
    """Any number of requests that each end within a read are taken, for each is small."""
    raw = (POST + b"Content-Length: 0\r\nX: " + b"y" * 900 + b"\r\n\r\n") * 2000
    got = parse(*cut(raw, list(range(64_000, len(raw), 64_000))))

    assert (len(got.requests), got.error) == (2000, "")


@pytest.mark.parametrize(
    "endless",
    [b"X: y\r\n", b"X-" * 10, b"a:\r\n", b"y" * 1000],
    ids=["fields", "a name", "small fields", "one line"],
)
@pytest.mark.parametrize(
    "start",
    [POST, CHUNKED + b"3\r\nabc\r\n0\r\n", CHUNKED + b"3\r\nabc\r\n0\r\nX: ", CHUNKED + b"3;", CHUNKED + b'3;a="'],
    ids=["head", "trailer", "a trailer's value", "extension", "quoted extension"],
)
def test_what_has_no_end_is_refused(start: bytes, endless: bytes) -> None:
    """A head, a trailer or a chunk extension that goes on and on is refused before it fills the memory."""
    flood = endless * (64_000 // len(endless))

    assert parse(start, *[flood] * 20).error in {"400", "431"}


REFUSED = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "an empty Host": b"GET / HTTP/1.1\r\nHost: \r\n\r\n",
    "a port alone": b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "a list of hosts": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "a user at the host": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "a path behind the host": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "an empty authority": b"GET http:///v1/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a user in the target": b"GET http://u@a/v1/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "another scheme": b"GET file:///etc HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "an asterisk for GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    "CONNECT with a path": b"CONNECT /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "CONNECT with a URL": b"CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a WebSocket with a body": b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Content-Length: 3\r\n\r\nabc",
    "both framings": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding in 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an empty coding": POST + b"Transfer-Encoding:\r\n\r\n",
    "another coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a chunk without size": CHUNKED + b"\r\nabc\r\n",
    "a chunk of 2^64": CHUNKED + b"10000000000000000\r\nabc\r\n",
    "a negative chunk": CHUNKED + b"-3\r\nabc\r\n",
    "a chunk that is longer": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a bare LF behind a chunk": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
    "a bare LF in an extension": CHUNKED + b"3;a\nabc\r\n0\r\n\r\n",
    "a space behind a chunk's size": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "a bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "a bare CR": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n",
    "a fold": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\r\nA: \x00\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01",
    "a long line": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long field": b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
    "many fields": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 200 + b"\r\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_requests_that_are_refused(case: str) -> None:
    """What can be read in two ways, and what is no HTTP/1.1, is refused in one piece and in many."""
    raw = REFUSED[case]

    assert parse(raw).error
    assert parse(GET, raw).error
    assert parse(*(raw[n : n + 1] for n in range(len(raw)))).error
