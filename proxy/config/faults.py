"""Faults of a config file: collected all, then raised once."""

from collections.abc import Iterable
from difflib import get_close_matches

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with the configuration.

    Attributes:
        file: its name as the user gave it.
        line: where, from 1; None if it is nowhere in particular.
        path: the key, as `providers.openai.base_url`; "" for the document.
        message: what was expected and what was found.
    """

    file: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(Exception):
    """The configuration can't be used; `faults` has everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class Faults:
    """Collects faults while a document is read.

    Args:
        file: the document's name.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._faults: list[Fault] = []
        self.lines: dict[tuple[str, ...], int] = {}
        """The line of each path in the document."""

    def add(self, path: tuple[str, ...], message: str, line: int | None = None) -> None:
        """Note a fault at `path`, or at the closest enclosing path whose line is known."""
        place = path
        while line is None and place not in self.lines and place:
            place = place[:-1]
        shown = "".join(part if part.startswith("[") else f".{part}" for part in path).removeprefix(".")
        self._faults.append(Fault(self.file, line or self.lines.get(place), shown, message))

    def raise_if_any(self) -> None:
        """Raise `ConfigError` with every fault, in the order of their lines."""
        if self._faults:
            raise ConfigError(sorted(self._faults, key=lambda fault: fault.line or 0))


def closest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that was probably meant, or else at all of them."""
    names = sorted(known)
    if match := get_close_matches(name, names, n=1):
        return f"did you mean `{match[0]}`?"
    return f"known: {', '.join(names)}" if names else "there are none"
