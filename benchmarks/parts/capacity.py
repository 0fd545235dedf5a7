"""Streaming capacity: how many events a second a peer carries before they come late."""

from collections.abc import Iterator

import msgspec

from benchmarks.bench import Bench, Outcome, Running
from benchmarks.figures import Figure, Key, Sample
from benchmarks.part import Line, Part
from benchmarks.peers import Peer
from benchmarks.search import largest_passing
from benchmarks.upstream import ENDLESS

NAME = "capacity"
CASE = "an event every 20 ms per stream"
EVENTS_PER_S = "events_per_s"
LIMIT_MS = 5.0
_PERIOD_US = 20_000
_FIRST, _CEILING, _TOLERANCE = 400, 8192, 0.1
_FIRST_QUICK, _CEILING_QUICK, _TOLERANCE_QUICK = 100, 400, 0.5
_COMPLETE = 0.98
"""The share of the events due that must have come."""


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    with bench.start(peer) as running:
        bench.warm_up(running, running.chat(stream=True))
        bench.upstream.script(event_delay_us=_PERIOD_US, events=ENDLESS)
        key = Key(NAME, CASE, peer.name)
        found: dict[int, Sample] = {}
        is_quick = bench.effort.is_quick

        def passes(streams: int) -> bool:
            # A second chance, since a single hiccup of the machine, 20 ms long, makes one event in a hundred late.
            for _ in range(1 if is_quick else 2):
                found[streams] = bench.measure(key, round_number, running, lambda: _watch(bench, running, streams))
                if keeps_up(found[streams]):
                    return True
            return False

        first, ceiling, tolerance = (
            (_FIRST_QUICK, _CEILING_QUICK, _TOLERANCE_QUICK) if is_quick else (_FIRST, _CEILING, _TOLERANCE)
        )
        best = largest_passing(passes, first=first, ceiling=ceiling, tolerance=tolerance)
        seen = {streams: sample.values.get("p99_ms") for streams, sample in found.items()}
        curve = [(float(streams), late_ms) for streams, late_ms in seen.items() if late_ms is not None]
        if best:
            yield msgspec.structs.replace(found[best], curve=sorted(curve))
        else:
            trouble = f"not even {min(found)} streams were carried {found[min(found)].trouble}"
            yield Sample(part=NAME, case=CASE, peer=peer.name, round=round_number, values={}, trouble=trouble)


def keeps_up(sample: Sample) -> bool:
    """Whether nearly every event came, and nearly every one in time."""
    values = sample.values
    is_complete = not sample.trouble and values["complete"] >= _COMPLETE
    return is_complete and values["p99_ms"] < LIMIT_MS


def _watch(bench: Bench, running: Running, streams: int) -> Outcome:
    secs = bench.effort.brief_s
    request = running.chat(stream=True)
    timed = bench.loadgen.streams(running.port, request, streams=streams, secs=secs, period_us=_PERIOD_US)
    trouble = timed.counts.first_error
    if timed.counts.begun < streams:
        trouble = trouble or f"only {timed.counts.begun} of {streams} streams began"
    due = streams * secs * 1e6 / _PERIOD_US
    values = {
        EVENTS_PER_S: timed.per_s,
        "streams": float(streams),
        "p50_ms": timed.percentile_us(50) / 1e3,
        "p99_ms": timed.percentile_us(99) / 1e3,
        "complete": len(timed.times_us) / due,
    }
    return Outcome(values, trouble=trouble)


PART = Part(
    name=NAME,
    title="Streaming capacity",
    about=(
        "Endless streams with an event every 20 ms, more and more of them, until one event in a hundred comes more "
        f"than {LIMIT_MS:.0f} ms late at the client or one in fifty is missing, twice in a row. Lateness is against "
        "the schedule that its stream's most punctual event sets. Near `direct`, the load was the limit."
    ),
    figures=(
        Figure(EVENTS_PER_S, "events/s"),
        Figure("streams", "streams", is_compared=False),
        Figure("p50_ms", "late p50 ms", 2, is_compared=False),
        Figure("p99_ms", "late p99 ms", 2, is_compared=False),
    ),
    measure=_measure,
    line=Line("How late events come (p99), by the number of streams", "streams", "ms", "log", LIMIT_MS),
)
