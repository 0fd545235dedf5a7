"""The open loop: latency at fixed rates, counted from when each request was meant to be sent."""

from collections.abc import Iterator
from functools import partial

from benchmarks.bench import Bench, Outcome, Running
from benchmarks.figures import Figure, Key, Sample
from benchmarks.loadgen import Timed
from benchmarks.part import Line, Part
from benchmarks.peers import Peer

NAME = "open-loop"
CONNECTIONS = 256
OPENING_S = 0.5
"""Not sampled: while so many connections are opened at once, on both sides of the peer."""
_COMMON_RATE = 2000
_SHARES = (0.5, 0.7, 0.9)
_PERCENTS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9)


def latencies(timed: Timed) -> dict[str, float]:
    """The figures of a run at a fixed rate."""
    return {
        "p50_ms": timed.percentile_us(50) / 1e3,
        "p99_ms": timed.percentile_us(99) / 1e3,
        "p999_ms": timed.percentile_us(99.9) / 1e3,
    }


def trouble_of(timed: Timed) -> str:
    """What went wrong, in words."""
    if not timed.failures:
        return ""
    asked = timed.counts.answers + timed.failures
    return f"{timed.failures} of {asked} failed or came too late {timed.counts.first_error}".rstrip()


def _measure(bench: Bench, peer: Peer, round_number: int) -> Iterator[Sample]:
    with bench.start(peer) as running:
        request = running.chat()
        bench.warm_up(running, request)
        most = bench.warm_up(running, request)
        shares = _SHARES[:1] if bench.effort.is_quick else _SHARES
        rates = {f"{share:.0%} of what it can do": share * most for share in shares}
        if most > 1.2 * _COMMON_RATE:
            rates = {f"{_COMMON_RATE:,} requests/s": float(_COMMON_RATE), **rates}
        for case, rate in rates.items():
            key = Key(NAME, case, peer.name)
            yield bench.measure(key, round_number, running, partial(_load, bench, running, rate))


def _load(bench: Bench, running: Running, rate: float) -> Outcome:
    timed = bench.loadgen.whole_answers(
        running.port, running.chat(), connections=CONNECTIONS, secs=bench.effort.short_s, rate=rate, warm_up_s=OPENING_S
    )
    curve = [(percent, timed.percentile_us(percent) / 1e3) for percent in _PERCENTS]
    return Outcome({**latencies(timed), "rate": rate}, timed.counts.answers, trouble_of(timed), curve)


PART = Part(
    name=NAME,
    title="Open loop: latency at fixed rates",
    about=(
        f"Requests are due at fixed times, on at most {CONNECTIONS} connections, and each latency counts from when its "
        "request was due: a peer that stalls pays for everybody who waited (no coordinated omission). What a peer can "
        "do is measured just before, with 64 connections that ask as fast as they are answered; the shares are of "
        "that, so the rates differ from peer to peer, except for the common one."
    ),
    figures=(
        Figure("p99_ms", "p99 ms", 2),
        Figure("p50_ms", "p50 ms", 2),
        Figure("p999_ms", "p99.9 ms", 2),
        Figure("rate", "requests/s asked", is_compared=False),
    ),
    measure=_measure,
    line=Line("Latency by percentile", "percentile", "ms", "nines"),
)
