"""Options that several commands share: each group of them reaches its command as one argument."""

import re
from collections.abc import Callable
from functools import wraps
from typing import TypeAlias

import click
import msgspec

Command: TypeAlias = Callable[..., None]

_PARTS = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def packed(
    name: str, kind: type[msgspec.Struct], *options: Callable[[Command], Command]
) -> Callable[[Command], Command]:
    """Adds options to a command, which gets their values as one argument.

    Args:
        name: the argument's.
        kind: made of the values; its fields are named as the options are.
        options: made by `click.option`.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(*args: object, **given: object) -> None:
            fields = {field: given.pop(field) for field in kind.__struct_fields__}
            command(*args, **given, **{name: kind(**fields)})

        decorated: Command = run
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def seconds(text: str) -> float:
    """A time such as `90s`, `2h` or `1h30m`. The unit is part of it: a bare number could mean any."""
    parts = _PARTS.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.BadParameter(f"`{text}` is no time, such as 90s, 15m, 2h or 1h30m.")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between, such as `5,25,100`."""
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise click.BadParameter(f"`{text}` is no row of numbers, such as 5,25,100.") from None
