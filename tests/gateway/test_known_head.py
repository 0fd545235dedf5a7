"""A head that comes again gives what reading it anew would give, and nothing else is taken for it."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from proxy.errors import InvalidRequestError
from proxy.gateway.known_head import KnownHead
from proxy.gateway.parser import RequestParser
from proxy.wire import Field
from tests.gateway.test_request_parser import Flow

HEADS = st.sampled_from(
    [
        b"POST /v1/a?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX-Last: 1\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: x\r\ncontent-length:%d\r\n\r\n",
        b"POST /v1/b HTTP/1.1\r\nHost: x\r\nX-A: Content-Length: 3\r\nContent-Length:  %d\r\nX-A: 2\r\n\r\n",
        b"POST /v1/d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
        b"GET /v1/f HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
    ]
)
BODIES = st.sampled_from([b"", b"{}", b"x" * 2000, b"\r\n\r\n", b"POST / HTTP/1.1\r\nHost: y\r\n\r\n"])
# How a request arrives: whole, in two pieces, or with the beginning of the next one.
ARRIVALS = st.sampled_from(["whole", "cut", "joined"])


def taken(parser: RequestParser) -> list[tuple[object, ...]]:
    """All that has come out of a parser."""
    requests: list[tuple[object, ...]] = []
    while parser.requests:
        request = parser.requests.popleft()
        requests.append(
            (
                request.method,
                request.path,
                request.query,
                request.head.fields,
                request.is_1_1,
                request.keep_alive,
                request.content_length,
                request.awaits_invitation,
                request.is_complete,
                request.take(),
            )
        )
    return requests


@pytest.mark.parametrize(
    "part",
    [b"Connection: close", b"Expect: 100-continue", b"Connection: Upgrade\r\nUpgrade: h2c", b"Content-Length: 2"],
)
def test_what_asks_for_more_than_its_answer_is_never_learnt(part: bytes) -> None:
    """A head that ends the connection, or that could be read in two ways, is read each time."""
    data = b"POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}".replace(b"Host: x", b"Host: x\r\n" + part)
    parser = RequestParser(Flow(), "client")
    try:
        parser.feed(data)
    except InvalidRequestError:
        return
    [request] = parser.requests
    assert KnownHead.learn(data, request) is None


def comparable(requests: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """The same but for the field that tells the length: of a head that comes again it is the first one's."""
    return [(*each[:3], len_blind(each[3]), *each[4:]) for each in requests]


def len_blind(fields: object) -> list[Field]:
    assert isinstance(fields, list)
    return [field for field in fields if field[0] != b"content-length"]


@given(st.lists(st.tuples(HEADS, BODIES, ARRIVALS), min_size=1, max_size=6))
def test_it_makes_no_difference(sent: list[tuple[bytes, bytes, str]]) -> None:
    """Whatever follows upon what on a connection, and however it arrives, the requests are those of a fresh parser."""
    stream = [head % len(body) + body for head, body, _ in sent]
    pieces: list[bytes] = []
    rest = b""
    for each, (_, _, arrival) in zip(stream, sent, strict=True):
        data, rest = rest + each, b""
        if arrival == "cut":
            pieces += [data[: len(data) // 2], data[len(data) // 2 :]]
        elif arrival == "joined":
            rest = data
        else:
            pieces.append(data)
    pieces.append(rest)
    parser = RequestParser(Flow(), "client")
    got = []
    for piece in filter(None, pieces):
        parser.feed(piece)
        while parser.requests and parser.requests[0].is_complete:
            got += taken_one(parser)
    got += taken(parser)

    expected = []
    for data in stream:
        fresh = RequestParser(Flow(), "client")
        fresh.feed(data)
        expected += taken(fresh)
    assert comparable(got) == comparable(expected)


def taken_one(parser: RequestParser) -> list[tuple[object, ...]]:
    rest = parser.requests
    first = rest.popleft()
    parser.requests = type(rest)([first])
    requests = taken(parser)
    parser.requests = rest
    return requests


@given(st.binary(max_size=40), st.integers(0, 200), st.binary(max_size=40))
def test_what_only_looks_like_it_is_read(junk: bytes, cut: int, tail: bytes) -> None:
    """Damage anywhere in a head that came before is seen as it would be without having come before."""
    good = b"POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-B: 1\r\n\r\n{}"
    damaged = good[:cut] + junk + good[cut + len(junk) :] + tail
    outcomes: list[list[tuple[object, ...]]] = []
    for before in ([good], []):
        parser = RequestParser(Flow(), "client")
        for each in before:
            parser.feed(each)
            taken(parser)
        try:
            parser.feed(damaged)
        except InvalidRequestError:
            outcomes.append([("refused",)])
        else:
            outcomes.append(comparable(taken(parser)))
    assert outcomes[0] == outcomes[1]


def test_a_head_is_learnt_only_from_its_very_beginning() -> None:
    """A request whose first bytes came earlier teaches nothing: what it lacks would be missing from the next as well."""
    parser = RequestParser(Flow(), "client")
    whole = b"POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    parser.feed(whole[:2])
    parser.feed(whole[2:])
    [request] = parser.requests

    assert KnownHead.learn(whole[2:], request) is None
    assert KnownHead.learn(whole, request) is not None
