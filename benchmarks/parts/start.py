"""Starting: from the process to its first answer, and what the import takes of it."""

import subprocess
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Figure, Sample
from benchmarks.part import Part
from benchmarks.peers import Peer, python_of

NAME = "start"
START_CASE, IMPORT_CASE = "start to first answer", "import proxy.app"
SECS = "secs"
_STARTS, _STARTS_QUICK = 4, 1
_IMPORT = "import time; began = time.perf_counter(); import proxy.app; print(time.perf_counter() - began)"
_LIMIT_S = 60


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    starts = _STARTS_QUICK if bench.effort.is_quick else _STARTS
    # Each counts as a round of its own, so that medians and spreads are of them all.
    for number in range((round_number - 1) * starts + 1, round_number * starts + 1):
        bench.patience.wait_until_calm(bench.cores)
        with bench.start(peer) as running:
            started_s = running.server.started_s if running.server else 0.0
        yield Sample(part=NAME, case=START_CASE, peer=peer.name, round=number, values={SECS: started_s})
        if peer.root is not None:
            values = {SECS: _import_s(bench, peer)}
            yield Sample(part=NAME, case=IMPORT_CASE, peer=peer.name, round=number, values=values)


def _import_s(bench: Bench, peer: Peer) -> float:
    root = peer.root or bench.directory
    command = ["taskset", "--cpu-list", str(bench.cores.proxy), python_of(root), "-c", _IMPORT]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    if ran.returncode != 0:
        raise BenchmarkError(f"proxy.app could not be imported: {ran.stderr.strip()[-200:]}")
    return float(ran.stdout)


PART = Part(
    name=NAME,
    title="Start",
    about=(
        "From starting the process to its first answered chat request, asked for every few milliseconds; the files are "
        "in the page cache and the bytecode is compiled. The import is timed in a process of its own."
    ),
    figures=(Figure(SECS, "seconds", 3),),
    measure=_measure,
    takes=lambda peer: peer.command is not None,
)
