"""Which header fields pass, and where one event of a stream ends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Protocol, UpstreamError
from proxy.wire import BOUNDARY_BYTES, NOT_FORWARDED, NOT_RETURNED, Head, ends_event, error_event

RAW_NAMES = st.sampled_from(
    [b"X-A", b"x-a", b"Connection", b"TE", b"Cookie", b"X-Named", b"Content-Type", b"Set-Cookie"]
)
PAIRS = st.lists(st.tuples(RAW_NAMES, st.sampled_from([b"x-named", b"1", b"X-A , x-named", "ü".encode(), b"\xff"])))


def head(*pairs: tuple[bytes, bytes]) -> Head:
    return Head([(name.lower(), name, value) for name, value in pairs])


@given(PAIRS)
def test_what_passes_keeps_its_order_and_bytes(raw: list[tuple[bytes, bytes]]) -> None:
    """Both filters only leave out; what is left is the same bytes in the same order."""
    for lines in (head(*raw).lines_without(dropped) for dropped in (NOT_FORWARDED, NOT_RETURNED)):
        kept = [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])]
        rest = iter(raw)
        assert all(pair in rest for pair in kept)
        assert not {name.lower() for name, _ in kept} & {b"connection", b"te"}


def test_connection_names_more_fields() -> None:
    """RFC 9110 §7.6.1: what Connection names belongs to the connection too."""
    raw = head((b"Connection", b"x-a, X-B"), (b"X-A", b"1"), (b"x-b", b"2"), (b"X-C", b"3"), (b"Keep-Alive", b"4"))

    assert raw.lines_without(NOT_FORWARDED) == raw.lines_without(NOT_RETURNED) == b"X-C: 3\r\n"


@pytest.mark.parametrize(
    "name", ["authorization", "Cookie", "X-API-Key", "api_key", "x_goog_api_key", "Content_Length"]
)
def test_credentials_and_their_doubles_do_not_go_up(name: str) -> None:
    """A credential doesn't pass, nor a field that some servers take for one; an answer's fields of that name do."""
    raw = head((name.encode(), b"secret"))

    assert raw.lines_without(NOT_FORWARDED) == b""
    assert raw.lines_without(NOT_RETURNED) == f"{name}: secret\r\n".encode()


@given(st.lists(st.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b": c", b""]), max_size=12))
def test_event_boundary(pieces: list[bytes]) -> None:
    """A boundary is where the text so far ends in a blank line, or nothing was sent; its last four bytes tell."""
    stream = b"".join(pieces)
    normal = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    assert ends_event(stream[-BOUNDARY_BYTES:]) == ends_event(stream)
    if not normal or normal.endswith(b"\n\n"):
        assert ends_event(stream)
    elif not normal.endswith(b"\n"):
        assert not ends_event(stream)


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
