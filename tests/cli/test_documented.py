"""The commands that the documents tell people to type are commands."""

import re
import shlex
from pathlib import Path

import click
import pytest

from proxy.cli import main

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = ["README.md", "docs/runbook.md", "docs/operations.md"]
# In a line of its own, or between backticks, with its comment cut off.
_COMMANDS = re.compile(r"(?:^|`)pointsman ([^`\n#]+)", re.MULTILINE)


def commands(document: str) -> list[str]:
    """What a document tells to type."""
    return [found.strip() for found in _COMMANDS.findall((ROOT / document).read_text()) if "|" not in found]


def parse(arguments: list[str]) -> None:
    """Read a command line as click does, without running anything; raises what it refuses."""
    command: click.Command = main
    while isinstance(command, click.Group) and arguments:
        found = command.get_command(click.Context(command), arguments[0])
        if found is None:
            break
        command, arguments = found, arguments[1:]
    assert not isinstance(command, click.Group) or arguments in ([], ["--help"])
    if "--help" not in arguments and not isinstance(command, click.Group):
        command.make_context(command.name, arguments).close()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_told_to_be_typed_can_be(document: str) -> None:
    """Each has a command, the arguments that it takes, and options that there are."""
    found = commands(document)
    assert found
    for each in found:
        try:
            parse(shlex.split(each))
        except click.ClickException as error:
            pytest.fail(f"{document}: pointsman {each}: {error.format_message()}")
