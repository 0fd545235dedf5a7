"""What is wrong with a configuration, and where."""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches

import msgspec

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

_PLAIN_KEY = re.compile(r"[\w-]+")


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        file: where the document came from.
        line: counted from 1; None where there is none, as in a plain mapping.
        path: the value at fault, such as `models.fast.endpoints[0].weight`; empty for the document as a whole.
        message: what is wrong and what was expected; never a secret.
    """

    file: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ConfigError(Exception):
    """The configuration can't be used.

    Attributes:
        faults: everything that is wrong with it, in the order of the lines.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = sorted(faults, key=lambda fault: fault.line or 0)
        super().__init__("\n".join(map(str, self.faults)))


def path_text(path: Path) -> str:
    """A path as people read it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if _PLAIN_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False))
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The closest known name as the end of a message, or all of them if none is close."""
    names = list(known)
    if close := get_close_matches(name, names, n=1):
        return f"did you mean `{close[0]}`?"
    return f"known: {', '.join(names)}" if names else "there are none"
