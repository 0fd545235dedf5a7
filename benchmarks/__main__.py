"""The benchmark's command line."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from benchmarks.bench import Effort
from benchmarks.campaign import Plan, carry_out
from benchmarks.errors import BenchmarkError
from benchmarks.foreign import parse_checkout, parse_peer
from benchmarks.machine import pick_cores
from benchmarks.part import Part
from benchmarks.parts import PARTS
from benchmarks.peers import PEERS, Peer
from benchmarks.program import require_programs
from benchmarks.results import keep

T = TypeVar("T")


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
@click.option("--parts", type=pick_from(PARTS), default=",".join(PARTS), show_default=True, metavar="NAME,...")
@click.option("--peers", type=pick_from(PEERS), default=",".join(PEERS), show_default=True, metavar="NAME,...")
@click.option(
    "--peer",
    "others",
    type=parse_peer,
    multiple=True,
    metavar="NAME=URL,start=COMMAND",
    help="Another proxy, such as old=http://127.0.0.1:{port}/v1,start=./run {port} {upstream_port}; "
    "also: model=NAME, headers=NAME: VALUE|...",
)
@click.option(
    "--checkout",
    "checkouts",
    type=parse_checkout,
    multiple=True,
    metavar="NAME=DIRECTORY",
    help="Another checkout of Pointsman, as a peer: before and after in one run.",
)
@click.option("--upstream-port", type=click.IntRange(1, 65535), help="For a --peer that can't be told the upstream's.")
@click.option("--connections", type=counts, metavar="N,...", help="Of the closed loop.  [default: 1,64,256; quick: 64]")
@click.option("--rounds", type=click.IntRange(1), help="How often each peer is measured.  [default: 2; quick: 1]")
@click.option("--secs", type=click.IntRange(1), help="Seconds of each load.  [default: 4; quick: 1]")
@click.option("--quick", is_flag=True, help="A smoke run of a minute and a half; its figures mean little.")
def main(  # noqa: PLR0913 - the options
    *,
    parts: list[Part],
    peers: list[Peer],
    others: tuple[Peer, ...],
    checkouts: tuple[Peer, ...],
    upstream_port: int | None,
    connections: list[int] | None,
    rounds: int | None,
    secs: int | None,
    quick: bool,
) -> None:
    """Measure what Pointsman costs, beside a direct connection, nginx and a bare aiohttp proxy, in one run.

    Progress goes to standard error, the report to standard output and, with its pictures and the raw figures, to
    benchmarks/results/. Exit status: 0 if every figure is valid, 1 if something was skipped or had errors, 2 if nothing
    can be measured here.
    """
    effort = Effort(
        secs=secs or (1 if quick else 4),
        warm_up_s=0.2 if quick else 1.0,
        is_quick=quick,
        connections=connections or ([64] if quick else [1, 64, 256]),
    )
    plan = Plan(parts, [*peers, *checkouts, *others], rounds or (1 if quick else 2), effort, upstream_port)
    try:
        require_programs()
        # Unwinds the stack, so that everything that was started is stopped.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        # An installed program has its bytecode; without it a start would mostly be compiling.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            directory = Path(name)
            run = carry_out(plan, pick_cores(), lambda line: click.echo(line, err=True), directory)
            path, report = keep(run, directory / "pictures")
    except BenchmarkError as error:
        click.echo(f"benchmarks: {error}", err=True)
        sys.exit(2)
    click.echo(report)
    click.echo(f"Written to {path}, with its pictures and {path.with_suffix('.json').name}", err=True)
    sys.exit(0 if run.is_whole else 1)


if __name__ == "__main__":
    main()
