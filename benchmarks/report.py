"""The report: goals, then each part with its picture and its tables, in markdown."""

from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.figures import NOISY_FOREIGN_SHARE, NOISY_STOLEN_SHARE, Cell, Cells, Figure, Key, Sample, collect
from benchmarks.goals import GOALS
from benchmarks.part import Line, Part
from benchmarks.parts import PARTS
from benchmarks.peers import REFERENCES
from benchmarks.plots import bar_chart, line_chart

_RATIO = "{:.3f}"


class Run(msgspec.Struct, frozen=True):
    """Everything that one run found: what the JSON file holds and the report is made of."""

    started: str
    """ISO 8601, UTC."""
    machine: dict[str, str]
    """Labels and values, as text."""
    peers: dict[str, str]
    """What each is, in the order of the tables."""
    references: tuple[str, ...] = REFERENCES
    """Whom every figure is compared with."""
    samples: list[Sample] = []
    skipped: dict[str, str] = {}
    """What could not be measured, or not in every round, and why."""
    notes: list[str] = []
    """What was left out without harm."""

    @property
    def is_whole(self) -> bool:
        """Whether everything was measured, and validly."""
        return not self.skipped and not any(sample.trouble for sample in self.samples)


def render(run: Run, pictures: Mapping[str, str] = {}) -> str:
    """The whole report; `pictures` are the files that it may show, by names that begin with the part's."""
    cells = collect(run.samples, list(run.peers))
    parts = [f"# Benchmark of {run.started}", _goals(cells, run), _machine(run)]
    for part in PARTS.values():
        own = {key: cell for key, cell in cells.items() if key.part == part.name}
        if own:
            shown = [f"![{part.title}]({file})" for name, file in pictures.items() if name.startswith(f"{part.name}-")]
            parts += [f"## {part.title}", part.about, *shown, *_tables(part, own, run.references)]
    parts.append(_remarks(run))
    return "\n\n".join(filter(None, parts)) + "\n"


def draw(run: Run) -> dict[str, str]:
    """The SVG files that go with the report, by name."""
    cells = collect(run.samples, list(run.peers))
    drawn: dict[str, str] = {}
    for part in PARTS.values():
        own = {key: cell for key, cell in cells.items() if key.part == part.name and cell.is_valid}
        pictures = _lines(part.line, own, run) if part.line else _bars(part, own, run)
        drawn |= {f"{part.name}-{number}.svg": picture for number, picture in enumerate(pictures, start=1)}
    return drawn


def _bars(part: Part, cells: Cells, run: Run) -> list[str]:
    """The part's first figure."""
    figure = part.figures[0]
    groups: dict[str, dict[str, float]] = {}
    for key, cell in cells.items():
        if (value := cell.median(figure.key)) is not None:
            groups.setdefault(key.case, {})[key.peer] = value
    title = f"{part.title.partition(':')[0]}: {figure.title}"
    return [bar_chart(title, groups, figure.show, list(run.peers))] if groups else []


def _lines(line: Line, cells: Cells, run: Run) -> list[str]:
    """The curves, a picture for each case."""
    pictures = []
    for case in dict.fromkeys(key.case for key in cells):
        curves = {key.peer: _curve(cell) for key, cell in cells.items() if key.case == case}
        axes = (line.x_label, line.y_label)
        pictures.append(line_chart(f"{line.title}: {case}", axes, curves, list(run.peers), line.x_scale, line.limit))
    return pictures


def _curve(cell: Cell) -> list[tuple[float, float]]:
    """The points of all rounds; where rounds share an x, the last one's."""
    return sorted({x: y for sample in cell.rounds for x, y in sample.curve}.items())


def _goals(cells: Cells, run: Run) -> str:
    """For each peer that is no reference: how it stands to the goals, as far as they were measured."""
    peers = [peer for peer in run.peers if peer not in REFERENCES]
    rows = []
    for goal in GOALS:
        found = [(peer, goal.find(cells, peer)) for peer in peers]
        if all(value is None for _, value in found):
            continue
        shown = ["not measured" if value is None else f"{value:.3g}: {goal.verdict(value)}" for _, value in found]
        rows.append([goal.title, goal.bound(goal.must), goal.bound(goal.aim), *shown])
    return table(["goal", "must", "aim", *peers], rows, left=1) if rows else ""


def _machine(run: Run) -> str:
    lines = [f"- {label}: {value}" for label, value in run.machine.items()]
    return "\n".join([*lines, *(f"- `{name}`: {what}" for name, what in run.peers.items())])


def _tables(part: Part, cells: Cells, references: Sequence[str]) -> list[str]:
    """A table for each figure that is compared; the first has those that aren't as well."""
    compared = [figure for figure in part.figures if figure.is_compared]
    others = [figure for figure in part.figures if not figure.is_compared]
    tables = [_comparison(cells, figure, others if figure is compared[0] else [], references) for figure in compared]
    return [text for text in tables if text]


def _comparison(cells: Cells, figure: Figure, others: Sequence[Figure], references: Sequence[str]) -> str:
    """A row for each case and peer: the figure, its spread, its ratio to each reference, and some more figures."""
    shown = {key: cell for key, cell in cells.items() if cell.median(figure.key) is not None or not cell.is_valid}
    if not any(cell.is_valid for cell in shown.values()):
        return ""
    found = {key.peer for key, cell in shown.items() if cell.values(figure.key)}
    references = [name for name in references if name in found]
    rows = []
    for key, cell in shown.items():
        row = [
            key.case,
            key.peer if cell.is_valid else f"{key.peer} **(invalid)**",
            figure.show(cell.median(figure.key)),
        ]
        row.append(_percent(cell.spread(figure.key)))
        if figure.over_direct:
            row.append(_difference(cell, cells.get(key._replace(peer="direct")), figure))
        ratios = [cell.ratio(cells.get(Key(key.part, key.case, name)), figure.key) for name in references]
        row += ["-" if ratio is None else _RATIO.format(ratio) for ratio in ratios]
        rows.append(row + [other.show(cell.median(other.key)) for other in others])
    header = ["case", "peer", figure.title, "spread", *(["+ direct"] if figure.over_direct else [])]
    return table([*header, *(f"x {name}" for name in references), *(other.title for other in others)], rows)


def _difference(cell: Cell, direct: Cell | None, figure: Figure) -> str:
    own, other = cell.median(figure.key), direct.median(figure.key) if direct else None
    return "-" if own is None or other is None else figure.show(own - other)


def _remarks(run: Run) -> str:
    noisy = [sample for sample in run.samples if sample.is_noisy]
    verdict = (
        f"{len(noisy)} of {len(run.samples)} measurements were noisy: others took more than "
        f"{NOISY_FOREIGN_SHARE:.0%} of a core, or the hypervisor more than {NOISY_STOLEN_SHARE:.0%}."
    )
    lines = [
        f"- noisy: {_place(sample)} (others {sample.foreign_share:.0%}, hypervisor {sample.stolen_share:.0%}, "
        f"the calmest of {sample.tries})"
        for sample in noisy
    ]
    lines += [f"- **invalid**: {_place(sample)}: {sample.trouble}" for sample in run.samples if sample.trouble]
    lines += [f"- **skipped**: {what}: {reason}" for what, reason in run.skipped.items()]
    lines += [f"- {note}" for note in run.notes]
    return "## Remarks\n\n" + "\n".join([verdict, "", *lines])


def _place(sample: Sample) -> str:
    return f"{sample.peer}, {sample.part}, {sample.case}, round {sample.round}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """A markdown table whose columns line up in a terminal too; the first `left` are text, the rest numbers."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = zip(row, widths, strict=True)
        texts = [text.ljust(width) if n < left else text.rjust(width) for n, (text, width) in enumerate(cells)]
        return "| " + " | ".join(texts) + " |"

    rule = ["-" * width if n < left else "-" * (width - 1) + ":" for n, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])
