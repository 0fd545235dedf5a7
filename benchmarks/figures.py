"""What is found: samples, and the medians, spreads and ratios that are made of them."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

import msgspec

NOISY_FOREIGN_SHARE = 0.12
NOISY_STOLEN_SHARE = 0.03

CPU_US = "cpu_us"
PEER_CORE = "peer_core"
LOAD_CORE = "load_core"
"""The keys of what is recorded with every load: CPU time of the peer per unit of work, and how full the cores were."""


class Figure(NamedTuple):
    """One of the numbers that a part finds.

    Attributes:
        key: its name in a sample's values.
        title: its name in the report, with its unit.
        digits: behind the point.
        is_compared: whether it gets a table of its own, with spread and ratios; the others stand beside the first.
        is_share: shown in percent.
        over_direct: whether what it is more than `direct` is shown too.
    """

    key: str
    title: str
    digits: int = 0
    is_compared: bool = True
    is_share: bool = False
    over_direct: bool = False

    def show(self, value: float | None) -> str:
        """The value as text."""
        if value is None:
            return "-"
        return f"{value:.0%}" if self.is_share else f"{value:,.{self.digits}f}"


class Key(NamedTuple):
    """What a figure is of."""

    part: str
    case: str
    peer: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one measurement; all shares are of a core."""

    part: str
    case: str
    peer: str
    round: int
    values: dict[str, float]
    curve: list[tuple[float, float]] = []
    """Points of a line, for parts that draw one."""
    trouble: str = ""
    """Why it means nothing: what went wrong, in words."""
    foreign_share: float = 0.0
    """What others spent on the two cores."""
    stolen_share: float = 0.0
    """What the hypervisor took from the two cores."""
    tries: int = 1
    """How often it was measured until the machine was calm enough."""

    @property
    def key(self) -> Key:
        """What it is a sample of."""
        return Key(self.part, self.case, self.peer)

    @property
    def is_noisy(self) -> bool:
        """Whether something else took so much of the two cores that the figures are in doubt."""
        return self.foreign_share > NOISY_FOREIGN_SHARE or self.stolen_share > NOISY_STOLEN_SHARE

    def __str__(self) -> str:
        values = "  ".join(f"{name} {value:,.6g}" for name, value in self.values.items())
        doubts = f"  ({self.trouble})" if self.trouble else "  (noisy)" if self.is_noisy else ""
        return f"{self.part}  round {self.round}  {self.peer:9}  {self.case}:  {values}{doubts}"


class Cell:
    """The samples of one key, a round each."""

    def __init__(self, rounds: Sequence[Sample]) -> None:
        self.rounds = rounds

    @property
    def is_valid(self) -> bool:
        """Whether nothing went wrong in any round; if not, the cell's figures mean nothing and it has no ratios."""
        return not any(sample.trouble for sample in self.rounds)

    def values(self, key: str) -> list[float]:
        """The figure in each round that has it."""
        return [sample.values[key] for sample in self.rounds if key in sample.values]

    def median(self, key: str) -> float | None:
        """The figure's median over the rounds; None if there is none."""
        values = self.values(key)
        return median(values) if values else None

    def spread(self, key: str) -> float | None:
        """How far apart the rounds are, as a share of the median; None with fewer than two rounds."""
        values = self.values(key)
        middle = median(values) if len(values) > 1 else 0
        return (max(values) - min(values)) / middle if middle else None

    def ratio(self, reference: "Cell | None", key: str) -> float | None:
        """This cell's median in terms of the reference's; None where either is missing, invalid or zero."""
        if reference is None or not (self.is_valid and reference.is_valid):
            return None
        own, other = self.median(key), reference.median(key)
        return own / other if own is not None and other else None


Cells = dict[Key, Cell]


def collect(samples: Iterable[Sample], peers: Sequence[str]) -> Cells:
    """The cells: parts and cases as they were measured first, peers in the order given."""
    groups: dict[tuple[str, str], dict[str, list[Sample]]] = {}
    for sample in samples:
        groups.setdefault((sample.part, sample.case), {}).setdefault(sample.peer, []).append(sample)
    return {
        Key(part, case, peer): Cell(group[peer])
        for (part, case), group in groups.items()
        for peer in peers
        if peer in group
    }
