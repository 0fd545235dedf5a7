"""How many tokens an answer cost, as the provider counts them, taken in passing.

Nothing is parsed while an answer goes by: the pieces that can tell are kept, and looked into once somebody asks. A
count that is cut in two between pieces is not seen.
"""

import re
from typing import NamedTuple

# Part of the names of all counts, of OpenAI's, Anthropic's and Gemini's APIs alike.
_MARK = b"oken"
_LONG_BYTES = 16 * 1024
_IN = re.compile(rb'"(?:prompt_tokens|input_tokens|promptTokenCount)"\s*:\s*(\d{1,15})')
_OUT = re.compile(rb'"(?:completion_tokens|output_tokens|candidatesTokenCount)"\s*:\s*(\d{1,15})')


class Tokens(NamedTuple):
    """Tokens of one request; None where the provider didn't say."""

    input: int | None
    output: int | None


class UsageWatch:
    """Watches the pieces of one answer go by.

    Args:
        whole: the answer, where it doesn't come in pieces.
    """

    __slots__ = ("_first", "_last")

    def __init__(self, whole: bytes = b"") -> None:
        self._first = self._last = whole

    def feed(self, piece: bytes) -> None:
        """Look at the next piece. Anthropic counts the input in the first event, and everybody all in the last."""
        if len(piece) > _LONG_BYTES:
            # What is as long as this is no event, but a part of a body that ends with its counts.
            piece = piece[-_LONG_BYTES:]
        if _MARK in piece:
            self._first = self._first or piece
            self._last = piece

    def tokens(self) -> Tokens:
        """What was counted so far; of several counts the last is the one that holds."""
        return Tokens(self._count(_IN), self._count(_OUT))

    def _count(self, pattern: re.Pattern[bytes]) -> int | None:
        counts = pattern.findall(self._last) or pattern.findall(self._first)
        return int(counts[-1]) if counts else None
