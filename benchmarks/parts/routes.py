"""Resolving among few and among very many routes: the table by itself, and through the front door."""

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Figure, Key, Sample
from benchmarks.part import Part
from benchmarks.parts.throughput import REQUESTS_PER_S, wrk_outcome
from benchmarks.peers import Peer, python_of

NAME = "routes"
RESOLVE_NS = "resolve_ns"
FEW, MANY = 10, 100_000
_MANY_CONFIGURED, _MANY_CONFIGURED_QUICK = 10_000, 1_000
"""For the front door: a config file may have no more than 100,000 values, of which a model takes several."""
_SCRIPT = Path(__file__).parents[1] / "resolving.py"
_LIMIT_S = 60


def case(routes: int, kind: str = "ten names") -> str:
    """The name of the case of so many routes."""
    return f"{routes:,} routes, {kind}"


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    if peer.root is None:
        return
    for routes in (FEW, MANY) if round_number % 2 else (MANY, FEW):
        bench.patience.wait_until_calm(bench.cores)
        few_ns, all_ns = _resolving(bench, peer.root, routes)
        for name, value in ((case(routes), few_ns), (case(routes, "any name"), all_ns)):
            values = {RESOLVE_NS: value}
            yield Sample(part=NAME, case=name, peer=peer.name, round=round_number, values=values)
    if round_number > 1:
        return
    for models in (FEW, _MANY_CONFIGURED_QUICK if bench.effort.is_quick else _MANY_CONFIGURED):
        with bench.start(peer, models=models) as running:
            request = running.chat()
            bench.warm_up(running, request)
            key = Key(NAME, case(models, "front door"), peer.name)
            yield bench.measure(key, round_number, running, partial(wrk_outcome, bench, running, request, 64))


def _resolving(bench: Bench, root: Path, routes: int) -> tuple[float, float]:
    command = ["taskset", "--cpu-list", str(bench.cores.proxy), python_of(root), str(_SCRIPT), str(routes)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    ran = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    if ran.returncode != 0:
        raise BenchmarkError(f"resolving among {routes} routes failed: {ran.stderr.strip()[-200:]}")
    few_ns, all_ns = ran.stdout.split()
    return float(few_ns), float(all_ns)


PART = Part(
    name=NAME,
    title="Resolving among many routes",
    about=(
        "The table by itself: nanoseconds for one `DynamicRoutingTable.resolve`, in a process of its own. `ten names` "
        "come again and again, as in most traffic; of `any name`, nearly every one is out of the processor's caches. "
        "`front door`: a config file of so many models, one of which is asked for, on 64 connections (once)."
    ),
    figures=(Figure(RESOLVE_NS, "ns per resolve"), Figure(REQUESTS_PER_S, "requests/s")),
    measure=_measure,
    takes=lambda peer: peer.root is not None,
)
