"""How many tokens an answer cost, as the provider counts them, taken in passing.

Nothing is parsed while an answer goes by: the pieces that can tell are kept, and looked into once somebody asks. A
count that is cut in two between pieces is not seen.
"""

import re
from typing import Final

# Part of the names of all counts, of OpenAI's, Anthropic's and Gemini's APIs alike.
_MARK: Final = b"oken"
_LONG_BYTES: Final = 16 * 1024
# Where counts stand together; a text may say it as well, so this is only where to look first.
_PLACE: Final = b'"usage'
_INPUT: Final = rb'"(?:prompt_tokens|input_tokens|promptTokenCount)"\s*:\s*(\d{1,15})'
_OUTPUT: Final = rb'"(?:completion_tokens|output_tokens|candidatesTokenCount)"\s*:\s*(\d{1,15})'
# In this order as a rule; between them there may be details of the input.
_BOTH: Final = re.compile(_INPUT + rb".{0,300}?" + _OUTPUT, re.DOTALL)
_EITHER: Final = (re.compile(_INPUT), re.compile(_OUTPUT))


class Tokens:
    """Tokens of one request; None where the provider didn't say."""

    __slots__ = ("input", "output")

    def __init__(self, input: int | None, output: int | None) -> None:  # noqa: A002 - so they are called
        self.input: Final = input
        self.output: Final = output

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokens) and (self.input, self.output) == (other.input, other.output)

    def __hash__(self) -> int:
        return hash((self.input, self.output))

    def __repr__(self) -> str:
        return f"Tokens({self.input}, {self.output})"


UNCOUNTED: Final = Tokens(None, None)
"""An answer that says nothing of its tokens."""


def tokens_in(answer: bytes) -> Tokens:
    """What a whole answer says of its tokens."""
    if len(answer) > _LONG_BYTES:
        answer = answer[-_LONG_BYTES:]
    return _tokens_in(answer, answer)


class UsageWatch:
    """Watches the pieces of one answer go by."""

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        self._first = self._last = b""

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
        return _tokens_in(self._last, self._first)


def _tokens_in(last: bytes, first: bytes) -> Tokens:
    """The last counts, or those in the first piece, where Anthropic counts the input."""
    place = last.rfind(_PLACE)
    if place >= 0 and (both := _BOTH.search(last, place)) is not None:
        return Tokens(int(both[1]), int(both[2]))
    if last.rfind(_MARK) < 0:
        return UNCOUNTED
    found = [count.search(last, max(place, 0)) or count.search(last) or count.search(first) for count in _EITHER]
    counts = [None if each is None else int(each[1]) for each in found]
    return UNCOUNTED if counts == [None, None] else Tokens(*counts)
