"""A flame graph of the proxy under plain load, by py-spy where there is one."""

import re
import subprocess
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError, MissingToolError
from benchmarks.figures import Figure, Sample
from benchmarks.part import Part
from benchmarks.peers import Peer
from benchmarks.program import find_program

NAME = "flame"
_SAMPLES_PER_S = 200
_LIMIT_S = 60


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    py_spy = find_program("py-spy")
    if py_spy is None:
        raise MissingToolError("there is no flame graph: py-spy is not installed (`pip install py-spy`)")
    picture = bench.pictures / f"flame-{peer.name}.svg"
    secs = 1 if bench.effort.is_quick else bench.effort.secs
    with bench.start(peer) as running:
        if running.server is None:
            return
        command = [py_spy, "record", "--pid", str(running.server.pid), "--duration", str(secs), "--gil"]
        command += ["--rate", str(_SAMPLES_PER_S), "--format", "flamegraph", "--output", str(picture)]
        request = running.chat()
        bench.warm_up(running, request)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as recorder:
            bench.loadgen.whole_answers(running.port, request, connections=64, secs=secs + 0.5)
            output, _ = recorder.communicate(timeout=_LIMIT_S)
    if recorder.returncode != 0 or not picture.exists():
        raise BenchmarkError(f"py-spy made no flame graph: {output.strip()[-200:]}")
    # Its heading is the whole command, with the paths of this machine.
    picture.write_text(re.sub(r"(>)[^<>]*py-spy record [^<]*", rf"\1{peer.name} under plain load", picture.read_text()))
    yield Sample(part=NAME, case=picture.name, peer=peer.name, round=round_number, values={})


PART = Part(
    name=NAME,
    title="Flame graph",
    about="What holds the interpreter under plain load on 64 connections, as py-spy sees it from outside.",
    figures=(Figure("none", "-"),),
    measure=_measure,
    takes=lambda peer: peer.root is not None,
    rounds=1,
)
