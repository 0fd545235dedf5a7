"""What a part of the benchmark is: something to measure, and how the report shows it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.bench import Bench
from benchmarks.figures import CPU_US, LOAD_CORE, PEER_CORE, Figure, Sample
from benchmarks.peers import Peer
from benchmarks.plots import Scale

PEER_CORE_FIGURE = Figure(PEER_CORE, "peer core", is_compared=False, is_share=True)
LOAD_CORE_FIGURE = Figure(LOAD_CORE, "load core", is_compared=False, is_share=True)
CPU_FIGURE = Figure(CPU_US, "CPU µs/request", 1)


class Line(NamedTuple):
    """How the curves of a part's samples are drawn."""

    title: str
    x_label: str
    y_label: str
    x_scale: Scale
    limit: float | None = None
    """A horizontal line at this height."""


@dataclass(frozen=True)
class Part:
    """One thing that is measured.

    Attributes:
        name: as it is asked for on the command line.
        title: the heading in the report.
        about: what was done, and how to read it.
        figures: what is shown of the samples, the most telling first.
        measure: measures one peer in one round.
        takes: whether a peer can be measured in this part.
        rounds: how often at most, where once is enough.
        line: how to draw the samples' curves; without it, the first figure is drawn as bars.
    """

    name: str
    title: str
    about: str
    figures: Sequence[Figure]
    measure: Callable[[Bench, Peer, int], Iterator[Sample]]
    takes: Callable[[Peer], bool] = lambda _: True
    rounds: int | None = None
    line: Line | None = None
