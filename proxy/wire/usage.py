"""How many tokens an answer cost, as the provider counts them, taken in passing.

Nothing is parsed while an answer goes by: the pieces that can tell are kept, and looked into once somebody asks. A
count that is cut in two between pieces is not seen.
"""

import re
from typing import NamedTuple

# Part of the names of all counts, of OpenAI's, Anthropic's and Gemini's APIs alike.
_MARK = b"oken"
_LONG_BYTES = 16 * 1024
# Where counts stand together; a text may say it as well, so this is only where to look first.
_PLACE = b'"usage'
_COUNTS = re.compile(
    rb'"(?:(prompt_tokens|input_tokens|promptTokenCount)|completion_tokens|output_tokens|candidatesTokenCount)"'
    rb"\s*:\s*(\d{1,15})"
)


class Tokens(NamedTuple):
    """Tokens of one request; None where the provider didn't say."""

    input: int | None
    output: int | None


UNCOUNTED = Tokens(None, None)
"""An answer that says nothing of its tokens."""


class UsageWatch:
    """Watches the pieces of one answer go by.

    Args:
        whole: the answer, where it doesn't come in pieces.
    """

    __slots__ = ("_first", "_last")

    def __init__(self, whole: bytes = b"") -> None:
        self._first = self._last = whole if len(whole) <= _LONG_BYTES else whole[-_LONG_BYTES:]

    def feed(self, piece: bytes) -> None:
        """Look at the next piece. Anthropic counts the input in the first event, and everybody all in the last."""
        if len(piece) > _LONG_BYTES:
            # What is as long as this is no event, but a part of a body that ends with its counts.
            piece = piece[-_LONG_BYTES:]
        # Not `in`, with which CPython would first try the mark as a number.
        if piece.rfind(_MARK) >= 0:
            self._first = self._first or piece
            self._last = piece

    def tokens(self) -> Tokens:
        """What was counted so far; of several counts the last is the one that holds."""
        if self._last.rfind(_MARK) < 0:
            return UNCOUNTED
        found_in, found_out = _counts(self._last)
        if (found_in is None or found_out is None) and self._first is not self._last:
            first_in, first_out = _counts(self._first)
            found_in = first_in if found_in is None else found_in
            found_out = first_out if found_out is None else found_out
        return Tokens(found_in, found_out)


def _counts(piece: bytes) -> tuple[int | None, int | None]:
    """The last counts of input and output in a piece."""
    counts = _COUNTS.findall(piece, max(piece.rfind(_PLACE), 0)) or _COUNTS.findall(piece)
    found_in = found_out = None
    for is_input, count in counts:
        if is_input:
            found_in = int(count)
        else:
            found_out = int(count)
    return found_in, found_out
