"""Which header fields pass, and where one event of a stream ends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Protocol, UpstreamError
from proxy.wire import EventBoundary, error_event, request_headers, response_headers

RAW_NAMES = st.sampled_from(
    [b"X-A", b"x-a", b"Connection", b"TE", b"Cookie", b"X-Named", b"Content-Type", b"Set-Cookie"]
)
RAW = st.lists(st.tuples(RAW_NAMES, st.sampled_from([b"x-named", b"1", b"X-A , x-named", "ü".encode(), b"\xff"])))


@given(RAW)
def test_what_passes_keeps_its_order_and_bytes(raw: list[tuple[bytes, bytes]]) -> None:
    """Both filters only leave out; what is left is the same bytes in the same order."""
    for headers in (request_headers(raw), response_headers(raw)):
        kept = [(n.encode("utf-8", "surrogateescape"), v.encode("utf-8", "surrogateescape")) for n, v in headers]
        rest = iter(raw)
        assert all(pair in rest for pair in kept)
        assert not {name.lower() for name, _ in kept} & {b"connection", b"te"}


def test_connection_names_more_fields() -> None:
    """RFC 9110 §7.6.1: what Connection names belongs to the connection too."""
    raw = [(b"Connection", b"x-a, X-B"), (b"X-A", b"1"), (b"x-b", b"2"), (b"X-C", b"3"), (b"Keep-Alive", b"4")]

    assert request_headers(raw) == response_headers(raw) == [("X-C", "3")]


@pytest.mark.parametrize(
    "name", ["authorization", "Cookie", "X-API-Key", "api_key", "x_goog_api_key", "Content_Length"]
)
def test_credentials_and_their_doubles_do_not_go_up(name: str) -> None:
    """A credential doesn't pass, nor a field that some servers take for one; an answer's fields of that name do."""
    raw = [(name.encode(), b"secret")]

    assert request_headers(raw) == []
    assert response_headers(raw) == [(name, "secret")]


def test_control_characters_do_not_come_down() -> None:
    """An answer's field with a control character is left out; a tab is none."""
    raw = [(b"X-A", b"a\x00b"), (b"X-B", b"a\x0bb"), (b"X-C", b"a\tb")]

    assert response_headers(raw) == [("X-C", "a\tb")]


@given(st.lists(st.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b": c", b""]), max_size=12), st.data())
def test_event_boundary(pieces: list[bytes], data: st.DataObject) -> None:
    """However a stream is cut, a boundary is where its text so far ends in a blank line, or nothing was sent."""
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=5)))
    boundary = EventBoundary()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        boundary.feed(stream[start:end])

    normal = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if normal.endswith(b"\n\n"):
        assert boundary.at_boundary
    elif normal and not normal.endswith(b"\n"):
        assert not boundary.at_boundary


def test_error_events() -> None:
    """Each protocol's own kind of error event."""
    error = UpstreamError("broke", provider="p")
    chat = error_event(error, Protocol.OPENAI, "chat/completions", "req_1")
    responses = error_event(error, Protocol.OPENAI, "responses", "req_1")
    claude = error_event(error, Protocol.ANTHROPIC, "messages", "req_1")
    gemini = error_event(error, Protocol.GEMINI, "models:streamGenerateContent", "req_1")

    assert json.loads(chat.removeprefix(b"data: "))["error"]["code"] == "upstream_error"
    assert json.loads(responses.removeprefix(b"event: error\ndata: "))["type"] == "error"
    assert json.loads(claude.removeprefix(b"event: error\ndata: "))["error"]["type"] == "api_error"
    assert json.loads(gemini.removeprefix(b"data: "))["error"]["status"] == "UNAVAILABLE"
