"""What the commands print: tables for people at a terminal, tab-separated lines for a pipe, JSON for programs.

Names come from clients and other operators, so nothing in them may act on the terminal.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence

import click
import msgspec

# Control, format (which can turn the direction of writing), surrogate, line and paragraph separator.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    """The text with every character escaped that would do something else than show itself."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNPRINTABLE else char for char in text
    )


class Failure(click.ClickException):
    """Ends a command with status 1 and one line that says what failed and what to do, or that and more of them."""

    def __init__(self, message: str, *more: str) -> None:
        super().__init__(message)
        self._more = more

    def format_message(self) -> str:
        """The lines, safe to print whoever's names they quote."""
        return "\n".join(map(printable, (self.message, *self._more)))


def print_line(text: str) -> None:
    """One line for a person."""
    click.echo(printable(text))


def print_note(text: str) -> None:
    """One line for a person that is no part of the result, which may go to a program."""
    click.echo(printable(text), err=True)


def print_json(content: object) -> None:
    """JSON in ASCII, which no terminal takes for a command and every encoding can carry."""
    click.echo(json.dumps(msgspec.to_builtins(content), indent=2))


def print_json_line(content: object) -> None:
    """The same in one line, for a stream of them."""
    click.echo(json.dumps(msgspec.to_builtins(content)))
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table with a line of column names: drawn on a terminal, tab-separated elsewhere."""
    safe_rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, safe_rows)
        return
    for row in (columns, *safe_rows):
        click.echo("\t".join(row))


def _draw(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415 - only at a terminal
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # As `Text`, so that square brackets in a name are no markup.
        table.add_row(*map(Text, row))
    Console().print(table)
