"""The report: medians over the rounds, their spread, and ratios to the reference peers of the same run, in markdown."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

import msgspec

from benchmarks.load import SCENARIOS, Scenario
from benchmarks.measurement import NOISY_FOREIGN_SHARE, NOISY_STOLEN_SHARE, Measurement
from benchmarks.peers import PEERS

Figure = Callable[[Measurement], float]

REFERENCES = ("direct", "nginx", "floor")


class Run(msgspec.Struct, frozen=True):
    """Everything that one run found: what the JSON file holds and the report is made of."""

    started: str
    """ISO 8601, UTC."""
    machine: dict[str, str]
    """Labels and values, as text."""
    effort: str
    """How much was measured, in words."""
    measurements: list[Measurement] = []
    skipped: dict[str, str] = {}
    """Peers that could not be measured, or not in every round, and why."""

    @property
    def is_whole(self) -> bool:
        """Whether every peer was measured, and validly."""
        return not self.skipped and all(measured.is_valid for measured in self.measurements)


class Cell:
    """The measurements of one peer in one scenario with one number of connections, a round each."""

    def __init__(self, rounds: Sequence[Measurement]) -> None:
        self._rounds = rounds

    @property
    def errors(self) -> int:
        """Failed requests in all rounds."""
        return sum(measured.load.errors for measured in self._rounds)

    @property
    def is_valid(self) -> bool:
        """Whether every round was valid; if not, the cell's figures mean nothing and it has no ratios."""
        return all(measured.is_valid for measured in self._rounds)

    def median(self, figure: Figure) -> float:
        """The figure's median over the rounds."""
        return median(figure(measured) for measured in self._rounds)

    def spread(self, figure: Figure) -> float | None:
        """How far apart the rounds are, as a share of the median; None with fewer than two rounds."""
        values = [figure(measured) for measured in self._rounds]
        middle = median(values)
        return (max(values) - min(values)) / middle if len(values) > 1 and middle else None

    def ratio(self, reference: "Cell | None", figure: Figure) -> float | None:
        """This cell's median in terms of the reference's; None where either is missing, invalid or zero."""
        if reference is None or not (self.is_valid and reference.is_valid and reference.median(figure)):
            return None
        return self.median(figure) / reference.median(figure)


Cells = dict[tuple[str, int, str], Cell]
"""By scenario, connections and peer."""


def collect(measurements: Iterable[Measurement]) -> Cells:
    """The cells in the order in which a reader compares them: scenario, connections, peer."""
    groups: dict[tuple[str, int, str], list[Measurement]] = {}
    for measured in measurements:
        groups.setdefault((measured.scenario, measured.connections, measured.peer), []).append(measured)
    scenarios, peers = list(SCENARIOS), list(PEERS)
    ordered = sorted(groups, key=lambda key: (scenarios.index(key[0]), key[1], peers.index(key[2])))
    return {key: Cell(groups[key]) for key in ordered}


def render(run: Run) -> str:
    """The whole report."""
    cells = collect(run.measurements)
    parts = [f"# Benchmark of {run.started}", _machine(run)]
    for scenario in SCENARIOS.values():
        own = {key: cell for key, cell in cells.items() if key[0] == scenario.name}
        if own:
            parts += [f"## {scenario.title}", _throughput(own), _cpu(own, scenario)]
    parts.append(_remarks(run))
    return "\n\n".join(filter(None, parts)) + "\n"


def _machine(run: Run) -> str:
    lines = [f"- {label}: {value}" for label, value in (run.machine | {"Measured": run.effort}).items()]
    measured = {measurement.peer for measurement in run.measurements}
    lines += [f"- `{peer.name}`: {peer.what}" for peer in PEERS.values() if peer.name in measured]
    return "\n".join(lines)


def _throughput(cells: Cells) -> str:
    header, rows = _comparison(cells, "requests/s", ",.0f", lambda measured: measured.requests_per_s, REFERENCES)
    header += ["p50 ms", "p99 ms", "errors", "proxy core", "load core"]
    for row, cell in zip(rows, cells.values(), strict=True):
        row += [
            f"{cell.median(lambda measured: measured.load.p50_us) / 1e3:,.2f}",
            f"{cell.median(lambda measured: measured.load.p99_us) / 1e3:,.2f}",
            str(cell.errors),
            _percent(cell.median(lambda measured: measured.peer_cpu_s / measured.elapsed_s)),
            _percent(cell.median(lambda measured: measured.load_cpu_s / measured.elapsed_s)),
        ]
    return _table(header, rows)


def _cpu(cells: Cells, scenario: Scenario) -> str:
    """A direct connection spends none, so it neither has a row here nor is a reference."""
    proxies: Cells = {key: cell for key, cell in cells.items() if key[2] != "direct"}
    references = [name for name in REFERENCES if name != "direct"]
    if scenario.event_delay_us:
        header, rows = _comparison(proxies, "CPU µs/event", ",.1f", lambda one: one.cpu_us_per_event, references)
    else:
        header, rows = _comparison(proxies, "CPU µs/request", ",.1f", lambda one: one.cpu_us_per_request, references)
    return _table(header, rows) if rows else ""


def _comparison(
    cells: Cells, unit: str, number: str, figure: Figure, references: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows, one a cell: the figure in `unit`, its spread, its ratio to each reference that was measured."""
    measured = {peer for _, _, peer in cells}
    shown = [name for name in references if name in measured]
    rows = [
        [
            str(connections),
            peer if cell.is_valid else f"{peer} **(invalid)**",
            format(cell.median(figure), number),
            _percent(cell.spread(figure)),
            *(_ratio(cell.ratio(cells.get((scenario, connections, name)), figure)) for name in shown),
        ]
        for (scenario, connections, peer), cell in cells.items()
    ]
    return ["connections", "peer", unit, "spread", *(f"x {name}" for name in shown)], rows


def _remarks(run: Run) -> str:
    noisy = [measured for measured in run.measurements if measured.is_noisy]
    verdict = (
        f"{len(noisy)} of {len(run.measurements)} measurements were noisy: others took more than "
        f"{NOISY_FOREIGN_SHARE:.0%} of a core, or the hypervisor more than {NOISY_STOLEN_SHARE:.0%}."
    )
    lines = [
        f"- noisy: {measured.peer}, {measured.scenario}, {measured.connections} connections, round {measured.round} "
        f"(others {measured.foreign_cpu_s / measured.elapsed_s:.0%}, "
        f"hypervisor {measured.stolen_s / measured.elapsed_s:.0%}, the calmest of {measured.tries} tries)"
        for measured in noisy
    ]
    lines += [f"- **skipped**: {peer}: {reason}" for peer, reason in run.skipped.items()]
    return "## Remarks\n\n" + "\n".join([verdict, "", *lines])


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table whose columns line up in a terminal too; the first two are what a row is about."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        texts = [
            text.ljust(width) if column == 1 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join(texts) + " |"

    rule = ["-" * width if column == 1 else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])
