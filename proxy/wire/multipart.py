"""Finding `model` in a form with files while the form streams by (RFC 7578, RFC 2046 §5.1).

Nothing is held back but a part's headers, the model's value, and as many bytes as a delimiter may begin with.
"""

import re
from enum import Enum, auto

from proxy.errors import InvalidRequestError
from proxy.wire.model_name import MAX_CHARACTERS, check_model_name

_HEADERS_BYTES = 16 * 1024
_VALUE_BYTES = 4 * MAX_CHARACTERS
_BOUNDARY_CHARACTERS = 70

_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_DISPOSITION = re.compile(rb"^content-disposition:[ \t]*form-data[ \t]*(;.*)$", re.IGNORECASE | re.MULTILINE)
# What may follow the boundary in a delimiter line: the mark of the last one, or white space and the line's end.
_LINE_REST = re.compile(rb"--|[ \t]*\r\n")
_LINE_REST_SO_FAR = re.compile(rb"-?|[ \t]*\r?")


class _State(Enum):
    CONTENT = auto()
    """Of a part that is not `model`, or before the first part."""
    DELIMITER = auto()
    """Right behind a boundary, which is a delimiter only if its line ends properly."""
    HEADERS = auto()
    MODEL = auto()
    END = auto()
    """Behind the last delimiter."""


def boundary_of(content_type: str) -> bytes:
    """The boundary that a multipart Content-Type names; raises `InvalidRequestError` if it names no usable one."""
    boundary = _parameters(content_type).get("boundary", "")
    if not boundary or len(boundary) > _BOUNDARY_CHARACTERS or not boundary.isascii():
        message = f"The Content-Type needs a boundary of 1 to {_BOUNDARY_CHARACTERS} ASCII characters."
        raise InvalidRequestError(message)
    return boundary.encode()


class MultipartModel:
    """Takes a form piece by piece and gives it back the same, save the value of its `model` field.

    What `feed` returns up to the call after which `name` is set stands before the value; what later calls return stands
    behind it. The value itself is never returned.

    Args:
        boundary: from the Content-Type.

    Attributes:
        name: the value of `model`; None until it was seen.
        value_length: bytes of that value.
    """

    def __init__(self, boundary: bytes) -> None:
        self.name: str | None = None
        self.value_length = 0
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter needs no line end before it: this one is taken back from what is returned.
        self._buffer = bytearray(b"\r\n")
        self._to_take_back = 2
        self._state = _State.CONTENT

    def feed(self, data: bytes) -> list[bytes]:
        """The form's bytes as far as they can be passed on.

        Reading stops where the value of `model` ends, to go on with the next call, whose `data` may be empty. Raises
        `InvalidRequestError` for a form that is malformed or names its model badly or twice.
        """
        self._buffer += data
        passed = bytearray()
        model_was_known = self.name is not None
        while self._step(passed):
            if not model_was_known and self.name is not None:
                break
        taken = min(self._to_take_back, len(passed))
        del passed[:taken]
        self._to_take_back -= taken
        return [bytes(passed)] if passed else []

    def close(self) -> None:
        """Say that the form is over; raises `InvalidRequestError` if it is cut short or has no `model`."""
        if self._state is not _State.END:
            raise InvalidRequestError("The form is cut short: its last delimiter is missing.")
        if self.name is None:
            raise InvalidRequestError("The form names no model: add a field `model`.", param="model")

    def _step(self, passed: bytearray) -> bool:
        """Go on from the current state; False where more data is needed."""
        match self._state:
            case _State.CONTENT:
                return self._content(passed)
            case _State.DELIMITER:
                return self._delimiter_line(passed)
            case _State.HEADERS:
                return self._headers(passed)
            case _State.MODEL:
                return self._model()
            case _State.END:
                self._pass(passed, len(self._buffer))
                return False

    def _content(self, passed: bytearray) -> bool:
        position = self._buffer.find(self._delimiter)
        if position < 0:
            self._pass(passed, len(self._buffer) - len(self._delimiter) + 1)
            return False
        self._pass(passed, position + len(self._delimiter))
        self._state = _State.DELIMITER
        return True

    def _delimiter_line(self, passed: bytearray) -> bool:
        rest = _LINE_REST.match(self._buffer)
        if rest is None:
            if _LINE_REST_SO_FAR.fullmatch(self._buffer) and len(self._buffer) < _HEADERS_BYTES:
                return False
            # It only looked like a delimiter: the boundary is the beginning of something longer.
            self._state = _State.CONTENT
            return True
        self._state = _State.END if rest[0] == b"--" else _State.HEADERS
        self._pass(passed, rest.end())
        return True

    def _headers(self, passed: bytearray) -> bool:
        # A part without any header begins with the blank line.
        end = 2 if self._buffer.startswith(b"\r\n") else self._buffer.find(b"\r\n\r\n") + 4
        is_whole = end != 3
        if (end if is_whole else len(self._buffer)) > _HEADERS_BYTES:
            raise InvalidRequestError(f"A part of the form has headers of more than {_HEADERS_BYTES} bytes.")
        if not is_whole:
            return False
        self._state = _State.MODEL if _is_model(bytes(self._buffer[:end])) else _State.CONTENT
        self._pass(passed, end)
        if self._state is _State.MODEL and self.name is not None:
            raise InvalidRequestError("The form has more than one field `model`.", param="model")
        return True

    def _model(self) -> bool:
        end = self._buffer.find(self._delimiter)
        if (end if end >= 0 else len(self._buffer) - len(self._delimiter)) > _VALUE_BYTES:
            raise InvalidRequestError(
                f"`model` is too long: names have at most {MAX_CHARACTERS} characters.", param="model"
            )
        if end < 0:
            return False
        try:
            name = self._buffer[:end].decode()
        except UnicodeDecodeError as error:
            raise InvalidRequestError("The form's field `model` is not valid UTF-8.", param="model") from error
        check_model_name(name)
        self.name, self.value_length = name, end
        del self._buffer[:end]
        self._state = _State.CONTENT
        return True

    def _pass(self, passed: bytearray, length: int) -> None:
        if length > 0:
            passed += self._buffer[:length]
            del self._buffer[:length]


def _is_model(headers: bytes) -> bool:
    """Whether a part with these headers is the field `model`; one with a filename is a file of that name."""
    disposition = _DISPOSITION.search(headers)
    if disposition is None:
        return False
    parameters = _parameters(disposition[1].decode("utf-8", "replace").rstrip())
    return parameters.get("name") == "model" and not parameters.keys() & {"filename", "filename*"}


def _parameters(value: str) -> dict[str, str]:
    """The parameters of a header value, unquoted, by lower-case name; of several the first counts."""
    found: dict[str, str] = {}
    for name, text in _PARAMETER.findall(value):
        plain = re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text.strip()
        found.setdefault(name.lower(), plain)
    return found
