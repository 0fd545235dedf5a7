"""How many tokens an answer cost, as the provider counts them, taken in passing.

Nothing is parsed while an answer goes by: the pieces that can tell are kept, and looked into once somebody asks. A
count that is cut in two between pieces is not seen.
"""

import re

from msgspec import Struct

# Part of the names of all counts, of OpenAI's, Anthropic's and Gemini's APIs alike.
_MARK = b"oken"
_LONG_BYTES = 16 * 1024
# Where counts stand together; a text may say it as well, so this is only where to look first.
_PLACE = b'"usage'
_NUMBER = rb'"\s*:\s*(\d{1,15})'
_INPUT = re.compile(rb'"(?:prompt_tokens|input_tokens|promptTokenCount)' + _NUMBER)
_OUTPUT = re.compile(rb'"(?:completion_tokens|output_tokens|candidatesTokenCount)' + _NUMBER)


class Tokens(Struct, frozen=True):
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
        """What was counted so far; of several counts the last ones hold."""
        if self._last.rfind(_MARK) < 0:
            return UNCOUNTED
        last, first = self._last, self._first
        place = max(last.rfind(_PLACE), 0)
        # Anthropic counts the input where the answer begins.
        found_in = _INPUT.search(last, place) or _INPUT.search(last) or _INPUT.search(first)
        found_out = _OUTPUT.search(last, place) or _OUTPUT.search(last) or _OUTPUT.search(first)
        if found_in is None and found_out is None:
            return UNCOUNTED
        return Tokens(None if found_in is None else int(found_in[1]), None if found_out is None else int(found_out[1]))
