"""Finding `model` in a JSON body, and writing another name in its place, without building the document.

A C decoder validates the whole body and tells the last top-level `model`, which is the one that counts in every JSON
parser. Where it stands is then plain to see in nearly every body: the only `"model"` there is. Only a body with more
of them (nested ones, duplicates, escaped spellings) is walked through token by token.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

from proxy.errors import InvalidRequestError
from proxy.wire.model_name import check_model_name

Document = bytes | bytearray


class ModelInBody:
    """The model that a body names, and where.

    Args:
        name: the decoded name.
        spans: start and end of each top-level value of `model`, quotes included, in order.
    """

    __slots__ = ("name", "spans")

    def __init__(self, name: str, spans: tuple[tuple[int, int], ...]) -> None:
        self.name = name
        self.spans = spans


class _Probe(msgspec.Struct):
    model: msgspec.Raw = msgspec.Raw(b"")


_probe: Final = msgspec.json.Decoder(_Probe)
_utf8: Final = getincrementaldecoder("utf-8")
_WINDOW_BYTES: Final = 1024 * 1024

_KEY: Final = b'"model"'
# Where looking at so many quotes in vain costs next to nothing beside all else.
_MUCH_BYTES: Final = 1024 * 1024
_FEW_QUOTES: Final = 100
# Nothing else can spell a letter of the key in another way.
_ESCAPED_LETTER: Final = rb"\u006"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

# For documents that are known to be valid.
_SPACE: Final = rb"[ \t\r\n]*+"
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR: Final = re.compile(rb"[^ \t\r\n,}\]]++")
_NESTING: Final = re.compile(_STRING.pattern + rb"|[\[{]|[\]}]", re.DOTALL)
_OBJECT: Final = re.compile(_SPACE + rb"\{" + _SPACE)
_COLON: Final = re.compile(_SPACE + rb":" + _SPACE)
_COMMA: Final = re.compile(_SPACE + rb"," + _SPACE)


def find_model(body: Document) -> ModelInBody:
    """Find the model in a JSON body; raises `InvalidRequestError` that says what is wrong with it."""
    text, value = _decode(body)
    if not value:
        raise InvalidRequestError("The body names no model: add `model`.", param="model")
    place = _last_key(text, len(text))
    # For a single byte CPython searches fastest, and an encoded image has no escape at all.
    if place < 0 or _last_key(text, place) >= 0 or (text.rfind(b"\\") >= 0 and text.rfind(_ESCAPED_LETTER) >= 0):
        spans = tuple(_top_level_spans(body))
        start, end = spans[-1]
    else:
        # The decoder found the key at the top level, and this is the only place where it can be; between it and its
        # value there is nothing that a value could begin with.
        start = text.find(value, place + len(_KEY))
        end = start + len(value)
        spans = ((start, end),)
    return ModelInBody(_name_in(bytes(body[start:end])), spans)


def _last_key(text: Document, end: int) -> int:
    """Where the last `"model"` before `end` begins, -1 if there is none.

    From behind, since CPython searches in this direction three times as fast; and where there is much text, such as an
    encoded image, from quote to quote, as long as these are few: a single byte is found ten times as fast as a word.
    """
    if end > _MUCH_BYTES:
        quote = end
        for _ in range(_FEW_QUOTES):
            quote = text.rfind(b'"', 0, quote)
            if quote < 0 or text.startswith(_KEY, quote):
                return quote
        # The last of these quotes may be the one that a key ends with.
        end = min(end, quote + len(_KEY) - 1)
    return text.rfind(_KEY, 0, end)


def splice_model(body: Document, found: ModelInBody, model_id: str) -> tuple[Document | memoryview, ...]:
    """The body, in pieces, with `model_id` as the value of every top-level `model`, all other bytes as they were.

    No byte of the body is copied.
    """
    value = _value_of(model_id)
    pieces: list[Document | memoryview] = []
    position = 0
    for start, end in found.spans:
        if body[start:end] != value:
            pieces += [memoryview(body)[position:start], value]
            position = end
    return (*pieces, memoryview(body)[position:]) if pieces else (body,)


# Clients name few models, and those again and again.
@lru_cache(maxsize=1024)
def _name_in(value: bytes) -> str:
    """The name that a value of `model` holds; raises `InvalidRequestError` if it holds none."""
    if not value.startswith(b'"'):
        kind = "null" if value == b"null" else "not a string"
        raise InvalidRequestError(f"`model` is {kind}: expected the model's name as a string.", param="model")
    try:
        name = msgspec.json.decode(value, type=str)
    except msgspec.DecodeError as error:
        message = "`model` holds half of a surrogate pair, which no name has."
        raise InvalidRequestError(message, param="model") from error
    check_model_name(name)
    return name


@lru_cache(maxsize=1024)
def _value_of(model_id: str) -> bytes:
    return msgspec.json.encode(model_id)


def _decode(body: Document) -> tuple[Document, bytes]:
    """What a body says of its model, as it stands there, b"" if nothing; and the text, as long as it, that was decoded.

    Raises `InvalidRequestError` unless it is a valid JSON object.
    """
    if not body.isascii():
        _check_utf8(body)
    try:
        return body, bytes(_probe.decode(body).model)
    except (msgspec.DecodeError, RecursionError) as error:
        return _decode_surrogates(body, error)


def _decode_surrogates(body: Document, error: Exception) -> tuple[Document, bytes]:
    """The same for a body that was refused with `error`, if that was for half a surrogate pair.

    JSON allows them (RFC 8259 §8.2), and JavaScript clients send them where they cut a text within an emoji. Whether
    all else is valid, a body with harmless escapes in their place tells.
    """
    harmless = _SURROGATE.sub(rb"\\u0020", body)
    if harmless != body and not isinstance(error, msgspec.ValidationError | RecursionError):
        return _decode(harmless)
    match error:
        case RecursionError():
            raise InvalidRequestError("The body is nested too deeply.") from error
        case msgspec.ValidationError():
            kind = str(error).rpartition("got ")[2]
            raise InvalidRequestError(f"The body must be a JSON object, but is {kind}.") from error
    if not body:
        raise InvalidRequestError("The request body is empty: send a JSON object that names a `model`.") from error
    raise InvalidRequestError(f"The body is not valid JSON: {error}.") from error


def _check_utf8(body: Document) -> None:
    """Raise `InvalidRequestError` unless the body is UTF-8; the decoder doesn't look into what it skips."""
    decoder = _utf8()
    # Piecemeal, since a decoded text may take four times the memory of its bytes.
    for start in range(0, len(body), _WINDOW_BYTES):
        try:
            decoder.decode(body[start : start + _WINDOW_BYTES], final=start + _WINDOW_BYTES >= len(body))
        except UnicodeDecodeError as error:
            message = f"The body is not valid UTF-8, at or shortly before byte {start + error.end}."
            raise InvalidRequestError(message) from error


def _top_level_spans(body: Document) -> Iterator[tuple[int, int]]:
    """Where the top-level values of `model` stand in a valid document that has at least one."""
    position = _end(_OBJECT, body, 0)
    while True:
        key_end = _end(_STRING, body, position)
        start = _end(_COLON, body, key_end)
        end = _value_end(body, start)
        if msgspec.json.decode(_SURROGATE.sub(rb"\\u0020", body[position:key_end])) == "model":
            yield start, end
        comma = _COMMA.match(body, end)
        if comma is None:
            return
        position = comma.end()


def _value_end(body: Document, start: int) -> int:
    """The end of the JSON value that begins at `start`."""
    first = body[start]
    if first == ord('"'):
        return _end(_STRING, body, start)
    if first not in b"[{":
        return _end(_SCALAR, body, start)
    depth = 0
    for token in _NESTING.finditer(body, start):
        if token[0] in {b"[", b"{"}:
            depth += 1
        elif token[0] in {b"]", b"}"}:
            depth -= 1
            if depth == 0:
                return token.end()
    raise AssertionError("the document was not validated")


def _end(pattern: re.Pattern[bytes], body: Document, position: int) -> int:
    match = pattern.match(body, position)
    if match is None:
        raise AssertionError("the document was not validated")
    return match.end()
