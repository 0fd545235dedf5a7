"""Every fault, with the official SDKs as clients, over real sockets: what comes of it is what the table says."""

import pytest

from proxy.errors import Protocol
from tests.faults.client import HALF, Met
from tests.faults.document import DOCUMENT, render, replaced
from tests.faults.observe import Fault, Mode, Row, observe
from tests.faults.table import CLAUDE_FAULTS, CLAUDE_RAISES, FAULTS, MATRIX


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_openai(fault: Fault) -> None:
    """What OpenAI's SDK meets with, and what the breaker makes of it."""
    assert await observe(fault, Protocol.OPENAI) == fault.expected


@pytest.mark.parametrize("fault", CLAUDE_FAULTS, ids=lambda fault: fault.name)
async def test_anthropic(fault: Fault) -> None:
    """The same in Anthropic's protocol, whose SDK has more exceptions."""
    assert await observe(fault, Protocol.ANTHROPIC) == {mode: _of_claude(row) for mode, row in fault.expected.items()}


def test_the_document_is_up_to_date() -> None:
    """docs/failures.md shows what the tests above have seen; `python -m tests.faults` writes it anew."""
    expected = {title: {fault.name: fault.expected for fault in faults} for title, faults in MATRIX.items()}
    document = DOCUMENT.read_text()

    assert document == replaced(document, render(expected))


def test_names_are_told_apart() -> None:
    """A name stands for one fault, which befalls in one form at least."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all(set(fault.expected) <= set(Mode) and fault.expected for fault in FAULTS)


def _of_claude(row: Row) -> Row:
    return row._replace(first=_raised(row.first), every=_raised(row.every))


def _raised(met: Met) -> Met:
    begins = HALF if met.gets.startswith(HALF) else ""
    name = met.gets.removeprefix(begins)
    return met._replace(gets=begins + CLAUDE_RAISES.get(name, name))
