"""The admin API among few and among very many dynamic routes."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Figure, Sample
from benchmarks.part import Part
from benchmarks.peers import Peer, python_of

NAME = "changes"
FIRST_MS, MEDIAN_MS, LONGEST_MS = "first_ms", "median_ms", "longest_ms"
FEW, MANY = 1_000, 100_000
_SCRIPT = Path(__file__).parents[1] / "changing.py"
_LIMIT_S = 120


def case(call: str, routes: int) -> str:
    """The name of the case of a call among so many routes."""
    return f"{call}, {routes:,} routes"


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    if peer.root is None:
        return
    for routes in (FEW, MANY) if round_number % 2 else (MANY, FEW):
        bench.patience.wait_until_calm(bench.cores)
        for line in _changing(bench, peer.root, routes):
            call, *took_ms = line.split()
            values = dict(zip((FIRST_MS, MEDIAN_MS, LONGEST_MS), map(float, took_ms), strict=True))
            name = case(call.replace("_", " "), routes)
            yield Sample(part=NAME, case=name, peer=peer.name, round=round_number, values=values)


def _changing(bench: Bench, root: Path, routes: int) -> list[str]:
    command = ["taskset", "--cpu-list", str(bench.cores.proxy), python_of(root), str(_SCRIPT), str(routes)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    ran = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    if ran.returncode != 0:
        raise BenchmarkError(f"changes among {routes} routes failed: {ran.stderr.strip()[-200:]}")
    return ran.stdout.splitlines()


PART = Part(
    name=NAME,
    title="Changes among many routes",
    about=(
        "Calls of the admin API in a proxy with so many dynamic routes, its client in the same process: a swap, a page "
        "of 100 routes, a search for names, a page of the history, and the drain of a provider of a tenth of the "
        "routes, which is in force before its answer tells of each."
    ),
    figures=(
        Figure(MEDIAN_MS, "ms, median", 2),
        Figure(FIRST_MS, "ms, first", 2),
        Figure(LONGEST_MS, "ms, longest", 2),
    ),
    measure=_measure,
    takes=lambda peer: peer.root is not None,
)
