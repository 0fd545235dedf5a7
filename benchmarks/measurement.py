"""One measurement: a load on one peer for some seconds, and where the CPU time of both cores went meanwhile."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.errors import BenchmarkError
from benchmarks.load import CHAT_PATH, LoadResult, Scenario, run_wrk
from benchmarks.machine import Cores, CoreTimes, core_times, wait_until_calm
from benchmarks.peers import Peer
from benchmarks.server import Server, ask
from benchmarks.upstream import Upstream

NOISY_FOREIGN_SHARE = 0.12
NOISY_STOLEN_SHARE = 0.03
_WARM_UP_CONNECTIONS = 16


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one run of the load; CPU times in seconds."""

    peer: str
    scenario: str
    connections: int
    round: int
    load: LoadResult
    elapsed_s: float
    peer_cpu_s: float
    load_cpu_s: float
    """wrk and the upstream together."""
    foreign_cpu_s: float
    """What others spent on the two cores."""
    stolen_s: float
    """What the hypervisor took from the two cores."""
    upstream_connections: int
    upstream_events: int
    tries: int = 1
    """How often it was measured until the machine was calm enough."""

    def __str__(self) -> str:
        return (
            f"round {self.round}  {self.peer:9}  {self.scenario:6}  {self.connections:3} connections  "
            f"{self.requests_per_s:9,.0f}/s  {self.cpu_us_per_request:8,.1f} µs/request  {self.load.errors} errors"
            + ("  (noisy)" if self.is_noisy else "")
        )

    @property
    def requests_per_s(self) -> float:
        """Whole answers per second."""
        return self.load.requests / (self.load.duration_us / 1e6)

    @property
    def cpu_us_per_request(self) -> float:
        """The peer's CPU time per whole answer, in microseconds."""
        return 1e6 * self.peer_cpu_s / max(self.load.requests, 1)

    @property
    def cpu_us_per_event(self) -> float:
        """The peer's CPU time per event that the upstream sent, in microseconds."""
        return 1e6 * self.peer_cpu_s / max(self.upstream_events, 1)

    @property
    def is_valid(self) -> bool:
        """Whether there were answers, all of them good."""
        return self.load.requests > 0 and self.load.errors == 0

    @property
    def is_noisy(self) -> bool:
        """Whether something else took so much of the two cores that the figures are in doubt."""
        foreign, stolen = self.foreign_cpu_s / self.elapsed_s, self.stolen_s / self.elapsed_s
        return foreign > NOISY_FOREIGN_SHARE or stolen > NOISY_STOLEN_SHARE


class Effort(NamedTuple):
    """How much time is spent on one measurement."""

    secs: int
    warm_up_secs: int
    calm_limit_s: float
    """How long to wait for a calm machine before each try."""
    max_tries: int
    """A noisy measurement is repeated; the calmest counts."""


class Running(NamedTuple):
    """A peer that is up."""

    name: str
    port: int
    server: Server | None
    """Its program; None for the direct connection."""

    def cpu_s(self) -> float:
        """CPU time spent so far, in seconds."""
        return self.server.cpu_s() if self.server else 0.0


class _Usage(NamedTuple):
    """Clocks at one moment, in seconds; only differences mean anything."""

    clock_s: float
    peer_s: float
    load_s: float
    own_s: float
    cores: CoreTimes


class Bench:
    """Measures one peer after another against the same upstream.

    Args:
        upstream: is running.
        directory: where request bodies and the peers' files go.
    """

    def __init__(self, upstream: Upstream, cores: Cores, directory: Path, effort: Effort) -> None:
        self._upstream = upstream
        self._cores = cores
        self._directory = directory
        self._effort = effort

    @contextmanager
    def start(self, peer: Peer) -> Iterator[Running]:
        """A context in which the peer is up; raises `BenchmarkError` if it doesn't come up."""
        server = peer.server(self._upstream.port, self._cores.proxy, self._directory)
        if server is None:
            yield Running(peer.name, self._upstream.port, None)
        else:
            with server:
                yield Running(peer.name, server.port, server)

    def prepare(self, scenario: Scenario, peer: Running) -> None:
        """Set the upstream's pace, make sure that the peer passes its answer on unchanged, and warm the peer up.

        Raises:
            BenchmarkError: the answer is another one.
        """
        self._upstream.pace(scenario.event_delay_us)
        body = scenario.body()
        self._body_file(scenario).write_bytes(body)
        expected = ask(self._upstream.port, CHAT_PATH, body)
        status, answer = ask(peer.port, CHAT_PATH, body)
        if (status, answer) != expected:
            shown = answer[:200].decode(errors="replace")
            raise BenchmarkError(f"it changes the upstream's answer ({scenario.name}): status {status}, {shown!r}")
        self._run_load(peer, scenario, _WARM_UP_CONNECTIONS, self._effort.warm_up_secs)

    def measure(self, peer: Running, scenario: Scenario, connections: int, round_number: int) -> Measurement:
        """Measure until the machine was calm meanwhile or the tries are used up; the calmest try counts."""
        tries: list[Measurement] = []
        while len(tries) < self._effort.max_tries and (not tries or tries[-1].is_noisy):
            wait_until_calm(self._cores, self._effort.calm_limit_s)
            tries.append(self._measure_once(peer, scenario, connections, round_number))
        calmest = min(tries, key=lambda measured: measured.foreign_cpu_s + measured.stolen_s)
        return msgspec.structs.replace(calmest, tries=len(tries))

    def _measure_once(self, peer: Running, scenario: Scenario, connections: int, round_number: int) -> Measurement:
        before, stats_before = self._usage(peer), self._upstream.stats()
        load = self._run_load(peer, scenario, connections, self._effort.secs)
        after, stats_after = self._usage(peer), self._upstream.stats()
        peer_cpu_s = after.peer_s - before.peer_s
        load_cpu_s = after.load_s - before.load_s
        own_cpu_s = after.own_s - before.own_s
        busy_s = after.cores.busy_s - before.cores.busy_s
        return Measurement(
            peer=peer.name,
            scenario=scenario.name,
            connections=connections,
            round=round_number,
            load=load,
            elapsed_s=after.clock_s - before.clock_s,
            peer_cpu_s=peer_cpu_s,
            load_cpu_s=load_cpu_s,
            foreign_cpu_s=max(0.0, busy_s - peer_cpu_s - load_cpu_s - own_cpu_s),
            stolen_s=after.cores.stolen_s - before.cores.stolen_s,
            upstream_connections=stats_after.connections - stats_before.connections,
            upstream_events=stats_after.events - stats_before.events,
        )

    def _usage(self, peer: Running) -> _Usage:
        own = os.times()
        return _Usage(
            clock_s=time.monotonic(),
            peer_s=peer.cpu_s(),
            load_s=self._upstream.cpu_s() + own.children_user + own.children_system,
            own_s=own.user + own.system,
            cores=core_times(self._cores),
        )

    def _run_load(self, peer: Running, scenario: Scenario, connections: int, secs: int) -> LoadResult:
        body = self._body_file(scenario)
        return run_wrk(peer.port, body, connections=connections, secs=secs, core=self._cores.load)

    def _body_file(self, scenario: Scenario) -> Path:
        return self._directory / f"{scenario.name}.json"
