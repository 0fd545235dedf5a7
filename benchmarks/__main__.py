"""The benchmark's command line: what is asked for, in which order it is measured, and where the report goes."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from benchmarks.errors import BenchmarkError
from benchmarks.load import SCENARIOS, Scenario
from benchmarks.machine import Cores, describe, find_program, pick_cores
from benchmarks.measurement import Bench, Effort, Measurement
from benchmarks.peers import PEERS, Peer
from benchmarks.report import Run, render
from benchmarks.upstream import Upstream

T = TypeVar("T")

_RESULTS = Path(__file__).with_name("results")
_PROGRAMS = {"wrk": "wrk", "nginx": "nginx-light", "gcc": "gcc"}
"""What must be installed, and the Debian package that has it."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long."""

    peers: Sequence[Peer]
    scenarios: Sequence[Scenario]
    connections: Sequence[int]
    rounds: int
    effort: Effort

    def peers_in(self, round_number: int) -> Sequence[Peer]:
        """The peers in this round's order: every other round goes backward, so that no peer always follows another."""
        return self.peers if round_number % 2 else self.peers[::-1]

    def __str__(self) -> str:
        effort = self.effort
        return f"medians of {self.rounds} round(s) of {effort.secs} s each, after {effort.warm_up_secs} s of warm-up"


def pick_from(known: Mapping[str, T]) -> Callable[[str], list[T]]:
    """An option's type: a comma-separated list of names out of `known`, each only once."""

    def pick(names: str) -> list[T]:
        try:
            return [known[name] for name in dict.fromkeys(names.split(","))]
        except KeyError as error:
            raise click.BadParameter(f"{error.args[0]!r} is none of {', '.join(known)}.") from error

    return pick


def counts(value: str) -> list[int]:
    """An option's type: a comma-separated list of positive integers."""
    numbers = value.split(",")
    if not all(number.isdecimal() and int(number) for number in numbers):
        raise click.BadParameter(f"{value!r} is no list of positive integers such as 1,64.")
    return sorted({int(number) for number in numbers})


@click.command()
@click.option("--peers", type=pick_from(PEERS), default=",".join(PEERS), show_default=True, metavar="NAME,...")
@click.option(
    "--scenarios", type=pick_from(SCENARIOS), default=",".join(SCENARIOS), show_default=True, metavar="NAME,..."
)
@click.option(
    "--connections",
    type=counts,
    metavar="N,...",
    help="Not for `paced`, which takes 256.  [default: 1,64,256; quick: 64]",
)
@click.option("--rounds", type=click.IntRange(1), help="How often each peer is measured.  [default: 2; quick: 1]")
@click.option("--secs", type=click.IntRange(1), help="Seconds of each measurement.  [default: 8; quick: 2]")
@click.option("--quick", is_flag=True, help="A smoke run of a minute; its figures mean little.")
def main(
    *,
    peers: list[Peer],
    scenarios: list[Scenario],
    connections: list[int] | None,
    rounds: int | None,
    secs: int | None,
    quick: bool,
) -> None:
    """Measure what Pointsman costs, beside a direct connection, nginx and a bare aiohttp proxy, in one run.

    Progress goes to standard error, the report to standard output and, with the raw figures, to benchmarks/results/.
    Exit status: 0 if every figure is valid, 1 if a peer was skipped or had errors, 2 if nothing can be measured here.
    """
    plan = Plan(
        peers=peers,
        scenarios=scenarios,
        connections=connections or ([64] if quick else [1, 64, 256]),
        rounds=rounds or (1 if quick else 2),
        effort=Effort(secs or 2, warm_up_secs=1, calm_limit_s=0.5, max_tries=1)
        if quick
        else Effort(secs or 8, warm_up_secs=2, calm_limit_s=20, max_tries=3),
    )
    try:
        require_programs()
        # Unwinds the stack, so that everything that was started is stopped.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        run = carry_out(plan, pick_cores())
    except BenchmarkError as error:
        click.echo(f"benchmarks: {error}", err=True)
        sys.exit(2)
    report = render(run)
    path = keep(run, report)
    click.echo(report)
    click.echo(f"Written to {path} and {path.with_suffix('.json').name}", err=True)
    sys.exit(0 if run.is_whole else 1)


def require_programs() -> None:
    """Raise `BenchmarkError` if a program that the benchmark runs is not installed."""
    missing = [name for name in _PROGRAMS if find_program(name) is None]
    if missing:
        packages = " ".join(_PROGRAMS[name] for name in missing)
        raise BenchmarkError(
            f"{', '.join(missing)} not found: apt-get install --yes --no-install-recommends {packages}"
        )


def carry_out(plan: Plan, cores: Cores) -> Run:
    """Measure everything in the plan. A peer that fails is left out from there on, and the run says why.

    Raises:
        BenchmarkError: the upstream doesn't run.
    """
    run = Run(datetime.now(UTC).isoformat(timespec="seconds"), describe(cores), str(plan))
    os.sched_setaffinity(0, {cores.load})
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, Upstream(cores.load, Path(name)) as upstream:
        bench = Bench(upstream, cores, Path(name), plan.effort)
        for round_number in range(1, plan.rounds + 1):
            for peer in plan.peers_in(round_number):
                if peer.name in run.skipped:
                    continue
                try:
                    measure_peer(bench, peer, plan, round_number, run.measurements)
                except (BenchmarkError, OSError, HTTPException) as error:
                    run.skipped[peer.name] = str(error)
                    click.echo(f"{peer.name} skipped: {error}", err=True)
    return run


def measure_peer(bench: Bench, peer: Peer, plan: Plan, round_number: int, found: list[Measurement]) -> None:
    """Start one peer, measure it in every scenario of the plan, adding to what was `found`, and stop it."""
    with bench.start(peer) as running:
        for scenario in plan.scenarios:
            bench.prepare(scenario, running)
            for connections in scenario.connections or plan.connections:
                measured = bench.measure(running, scenario, connections, round_number)
                found.append(measured)
                click.echo(measured, err=True)


def keep(run: Run, report: str) -> Path:
    """Write the report and the raw figures to `benchmarks/results/`; gives the report's path."""
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{run.started.replace(':', '').partition('+')[0]}.md"
    path.write_text(report)
    path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    return path


if __name__ == "__main__":
    main()
