"""A form streams through with its `model` replaced, however it is cut into pieces."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidRequestError
from proxy.wire import MultipartModel, boundary_of

FILE = (
    b"--XX\r\n"
    b'Content-Disposition: form-data; name="file"; filename="; name=model"\r\n'
    b"Content-Type: audio/wav\r\n\r\n"
    b'\r\n--XXY is no delimiter\r\nContent-Disposition: form-data; name="model"\r\n\r\nnot me\r\n--X\r\n'
)
MODEL = b"--XX\r\ncontent-disposition:form-data;NAME=model\r\n\r\nfast\r\n"
OTHER = b'--XX  \t\r\nContent-Disposition: form-data; name="language"\r\n\r\nen\r\n'
END = b"--XX--\r\nepilogue"

ORDERS = [MODEL + FILE + OTHER, FILE + MODEL + OTHER, OTHER + FILE + MODEL, b"preamble\r\n" + OTHER + MODEL]


def rewrite(form: bytes, cuts: Sequence[int]) -> tuple[str | None, int, bytes]:
    """Feed a form cut at these places; the name, the length of its value, and the form with another in its place."""
    parser = MultipartModel(b"XX")
    out, before = b"", True
    for start, end in zip([0, *cuts], [*cuts, len(form)], strict=True):
        out += b"".join(parser.feed(form[start:end]))
        if before and parser.name is not None:
            before = False
            out += b"<" + b"".join([b"NEW", b">", *parser.feed(b"")])
    parser.close()
    return parser.name, parser.value_length, out


@pytest.mark.parametrize("parts", ORDERS)
def test_byte_by_byte(parts: bytes) -> None:
    """One byte at a time, the field before or behind the file, look-alikes in the file left alone."""
    form = parts + END
    expected = form.replace(b"\r\n\r\nfast\r\n", b"\r\n\r\n<NEW>\r\n")

    assert rewrite(form, range(1, len(form))) == ("fast", 4, expected)


@given(st.sampled_from(ORDERS), st.data())
def test_any_cuts(parts: bytes, data: st.DataObject) -> None:
    """However it is cut, the outcome is that of the whole."""
    form = parts + END
    cuts = sorted(data.draw(st.sets(st.integers(1, len(form) - 1), max_size=8)))

    assert rewrite(form, cuts) == rewrite(form, [])


def test_little_is_held_back() -> None:
    """Of a file only as much is kept as a delimiter may begin with."""
    parser = MultipartModel(b"XX")
    head = b'--XX\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    passed = len(b"".join(parser.feed(head)))
    for _ in range(100):
        passed += len(b"".join(parser.feed(b"\r\n--X" * 10_000)))

    assert len(head) + 100 * 50_000 - passed <= len("\r\n--XX")


def part(name: str, value: bytes) -> bytes:
    return b'--XX\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (part("other", b"x") + END, "no model"),
        (part("model", b"a") + part("model", b"b") + END, "more than one"),
        (part("model", b"a") + part("x", b"y"), "cut short"),
        (part("model", b"") + END, "empty"),
        (part("model", b"\xff") + END, "UTF-8"),
        (part("model", b"a\x00") + END, "control"),
        (part("model", b"x" * 600) + END, "512"),
        (part("model", b"x" * 100_000) + END, "512"),
        (b"--XX\r\nX: " + b"y" * 20_000 + b"\r\n\r\n" + END, "headers"),
        (b"", "cut short"),
        (b"no form at all", "cut short"),
        (b'--XX\r\nContent-Disposition: form-data; name="model"; filename="model"\r\n\r\na\r\n' + END, "no model"),
    ],
)
def test_forms_that_are_refused(form: bytes, reason: str) -> None:
    """A form that names no model, or not clearly, or that is not whole."""
    with pytest.raises(InvalidRequestError, match=reason):
        rewrite(form, [])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; charset=utf-8; Boundary="a b;c"', b"a b;c"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=" + "x" * 71, None),
    ],
)
def test_boundary(content_type: str, boundary: bytes | None) -> None:
    """The boundary of RFC 2046 §5.1.1: named, quoted or not, at most 70 characters."""
    if boundary is None:
        with pytest.raises(InvalidRequestError, match="boundary"):
            boundary_of(content_type)
    else:
        assert boundary_of(content_type) == boundary
