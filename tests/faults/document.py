"""The matrix as the tables in docs/failures.md."""

from collections.abc import Mapping
from pathlib import Path

from proxy.upstream.breaker import BreakerState
from tests.faults.client import Met
from tests.faults.observe import Mode, Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "failures.md"
_BEGIN = "<!-- matrix: written by `python -m tests.faults` -->\n"
_END = "<!-- end of the matrix -->\n"

Rows = Mapping[Mode, Row]


def render(matrix: Mapping[str, Mapping[str, Rows]]) -> str:
    """Markdown for what comes of each fault, by sections."""
    return "\n".join(_section(title, faults) for title, faults in matrix.items())


def replaced(document: str, tables: str) -> str:
    """The document with these tables in the place of its own; raises `ValueError` where it has no place for them."""
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise ValueError(f"{DOCUMENT} lacks the lines that enclose the matrix")
    return f"{before}{begin}\n{tables}\n{end}{after}"


def _section(title: str, faults: Mapping[str, Rows]) -> str:
    head = f"### {title}\n\n| | the first of two endpoints | both of them | breaker |\n| --- | --- | --- | --- |\n"
    return head + "".join(_line(name, rows) for name, rows in faults.items())


def _line(name: str, rows: Rows) -> str:
    first = _cell({mode: _met(row.first) for mode, row in rows.items()})
    every = _cell({mode: _met(row.every) for mode, row in rows.items()})
    breaker = _cell({mode: _breaker(*row.breaker) for mode, row in rows.items()})
    return f"| {name} | {first} | {every} | {breaker} |\n"


def _cell(said: Mapping[Mode, str]) -> str:
    """What both forms have in common, or each by itself."""
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{mode}: {what}" for mode, what in said.items())


def _met(met: Met) -> str:
    advice = {"true": ", retry", "false": ", no retry"}.get(met.should_retry, "")
    return f"{met.gets} ({met.attempts}{advice})"


def _breaker(after_one: BreakerState, after_five: BreakerState) -> str:
    if after_one is BreakerState.OPEN:
        return "open at once"
    return "open after 5" if after_five is BreakerState.OPEN else "closed"
