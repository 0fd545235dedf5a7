"""A campaign: what is measured of whom, and in which order."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

from benchmarks.bench import Bench, Effort
from benchmarks.errors import BenchmarkError, MissingToolError
from benchmarks.loadgen import Loadgen
from benchmarks.machine import Cores, Patience, describe, raise_file_limit
from benchmarks.part import Part
from benchmarks.peers import COMPILED, OWN_ROOT, REFERENCES, Peer
from benchmarks.report import Run
from benchmarks.upstream import Upstream


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long.

    Attributes:
        upstream_port: where the upstream listens, for peers that can't be told; any free port by default.
    """

    parts: Sequence[Part]
    peers: Sequence[Peer]
    rounds: int
    effort: Effort
    upstream_port: int | None = None

    def rounds_of(self, part: Part) -> range:
        """The numbers of a part's rounds."""
        return range(1, min(self.rounds, part.rounds or self.rounds) + 1)

    def peers_in(self, part: Part, round_number: int) -> Sequence[Peer]:
        """The peers of a part in this round's order.

        Every other round goes backward, so that no peer always follows another.
        """
        peers = [peer for peer in self.peers if part.takes(peer)]
        return peers if round_number % 2 else peers[::-1]

    def references(self) -> tuple[str, ...]:
        """Whom every figure is compared with: the usual ones, and other checkouts of Pointsman."""
        others = [peer.name for peer in self.peers if peer.root not in {None, OWN_ROOT, COMPILED}]
        return (*REFERENCES, *others)

    def patience(self) -> Patience:
        """How long to wait for a calm machine."""
        if self.effort.is_quick:
            return Patience(total_s=0, once_s=0, tries=1)
        return Patience(total_s=200, once_s=10, tries=2)

    def __str__(self) -> str:
        effort = self.effort
        return f"medians of {self.rounds} round(s), {effort.secs} s for a load; a part after the other, peers in turn"


def carry_out(plan: Plan, cores: Cores, say: Callable[[str], None], directory: Path) -> Run:
    """Measure everything in the plan; `directory` is for files.

    A peer that fails in a part is left out of it from there on, and the run says why.

    Raises:
        BenchmarkError: the upstream or the load generator don't run.
    """
    machine = {**describe(cores), "Open files": str(raise_file_limit()), "Measured": str(plan)}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    run = Run(started, machine, {peer.name: peer.what for peer in plan.peers}, plan.references())
    os.sched_setaffinity(0, {cores.load})
    with Upstream(cores.load, directory, plan.upstream_port) as upstream:
        loadgen = Loadgen(cores.load, directory)
        bench = Bench(upstream, loadgen, cores, directory, plan.effort, plan.patience())
        for part in plan.parts:
            for round_number in plan.rounds_of(part):
                for peer in plan.peers_in(part, round_number):
                    _measure(bench, part, peer, round_number, run, say)
    return run


def _measure(bench: Bench, part: Part, peer: Peer, round_number: int, run: Run, say: Callable[[str], None]) -> None:
    what = f"{peer.name} in {part.name}"
    if what in run.skipped:
        return
    try:
        for sample in part.measure(bench, peer, round_number):
            run.samples.append(sample)
            say(str(sample))
    except MissingToolError as error:
        if str(error) not in run.notes:
            run.notes.append(str(error))
    except (BenchmarkError, OSError, HTTPException) as error:
        run.skipped[what] = str(error)
        say(f"{what} skipped: {error}")
