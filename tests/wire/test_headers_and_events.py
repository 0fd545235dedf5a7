"""Which header fields pass, and where one event of a stream ends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Protocol, UpstreamError
from proxy.wire import BOUNDARY_BYTES, NOT_FORWARDED, NOT_RETURNED, Field, Head, HeadReader, ends_event, error_event

RAW_NAMES = st.sampled_from(
    [b"X-A", b"x-a", b"Connection", b"TE", b"Cookie", b"X-Named", b"Content-Type", b"Set-Cookie"]
)
PAIRS = st.lists(st.tuples(RAW_NAMES, st.sampled_from([b"x-named", b"1", b"X-A , x-named", "ü".encode(), b"\xff"])))


def head(*pairs: tuple[bytes, bytes]) -> Head:
    return Head.of([(name.lower(), name, value) for name, value in pairs])


@given(PAIRS)
def test_what_passes_keeps_its_order_and_bytes(raw: list[tuple[bytes, bytes]]) -> None:
    """Both filters only leave out; what is left is the same bytes in the same order."""
    for lines in (head(*raw).lines_without(dropped) for dropped in (NOT_FORWARDED, NOT_RETURNED)):
        kept = [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])]
        rest = iter(raw)
        assert all(pair in rest for pair in kept)
        assert not {name.lower() for name, _ in kept} & {b"connection", b"te"}


NAMES = st.sampled_from(
    [
        b"X-A",
        b"x-a",
        b"x_a",
        b"%b",
        b"X-100%",
        b"Content-Length",
        b"content_length",
        b"Set-Cookie",
        b"Connection",
        b"Te",
    ]
)
VALUES = st.sampled_from([b"", b"1", b"%d %%", b"x-a", b"keep-alive", b"close, %b", b" \xff\t"])
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
DROPPED = st.sampled_from([NOT_FORWARDED, NOT_RETURNED, frozenset({b"x-a", b"%b"}), frozenset({b"set-cookie"})])


@given(st.lists(st.tuples(FIELDS, DROPPED), max_size=6), st.data())
def test_a_head_is_read_alike_whatever_came_before_it(
    heads: list[tuple[list[tuple[bytes, bytes]], frozenset[bytes]]], data: st.DataObject
) -> None:
    """Behind heads of the same names or of others, each gives what it says, field by field."""
    reader = HeadReader()
    for pairs, dropped in heads:
        # The same names again, with other values.
        for values in (data.draw(st.permutations([value for _, value in pairs])), [value for _, value in pairs]):
            fields = [(name.lower(), name, value) for (name, _), value in zip(pairs, values, strict=True)]
            for _, name, value in fields:
                reader.add(name, value)
            read = reader.take()

            assert read.fields == fields
            assert read.values == {name: b", ".join(v for n, _, v in fields if n == name) for name, _, _ in fields}
            assert read.lines_without(dropped) == Head.of(fields).lines_without(dropped) == lines(fields, dropped)


def lines(fields: list[Field], dropped: frozenset[bytes]) -> bytes:
    """What is left of a head, one field after the other."""
    options = [value.split(b",") for name, _, value in fields if name == b"connection"]
    gone = dropped | {option.strip().lower() for each in options for option in each}
    left = [(name, value) for plain, name, value in fields if not {plain, plain.replace(b"_", b"-")} & gone]
    return b"".join(name + b": " + value + b"\r\n" for name, value in left)


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
