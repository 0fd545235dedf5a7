"""The bench: starts peers, and measures a load on them with what it cost on both cores."""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.chat import Request
from benchmarks.errors import BenchmarkError
from benchmarks.figures import CPU_US, LOAD_CORE, PEER_CORE, Key, Sample
from benchmarks.loadgen import Loadgen
from benchmarks.machine import Cores, CoreTimes, Patience, core_times
from benchmarks.peers import Peer, Place
from benchmarks.server import Server, ask, free_port
from benchmarks.tls_front import TlsFront
from benchmarks.upstream import EVENTS_PER_STREAM, Upstream
from benchmarks.wrk import WrkResult, run_wrk


class Effort(NamedTuple):
    """How much is done for one measurement."""

    secs: int
    warm_up_s: float
    is_quick: bool = False
    """A smoke run: fewer cases and smaller numbers."""
    connections: Sequence[int] = (1, 64, 256)
    """For the closed loop."""

    @property
    def short_s(self) -> float:
        """For a load that needn't last whole seconds, as wrk's must."""
        return 0.5 if self.is_quick else self.secs

    @property
    def brief_s(self) -> float:
        """For what is done many times over."""
        return 0.5 if self.is_quick else self.secs / 2


@dataclass
class Outcome:
    """What a load came to.

    Attributes:
        values: the figures, by key.
        units: answers or events; the peer's CPU time is divided by them. None: CPU time is not wanted.
        trouble: what went wrong, in words.
        curve: points of a line.
    """

    values: dict[str, float]
    units: int | None = None
    trouble: str = ""
    curve: list[tuple[float, float]] = field(default_factory=list)


class Running(NamedTuple):
    """A peer that is up."""

    peer: Peer
    port: int
    server: Server | None
    """Its program; None for the direct connection."""
    scheme: str = "http"

    def chat(self, *, stream: bool = False, model: str | None = None, extra_bytes: int = 0) -> Request:
        """A chat request as the peer wants it."""
        return self.peer.door.chat(stream=stream, model=model, extra_bytes=extra_bytes)


class _Usage(NamedTuple):
    """Clocks at one moment, in seconds; only differences mean anything."""

    clock_s: float
    peer_s: float
    load_s: float
    own_s: float
    cores: CoreTimes


@dataclass(frozen=True)
class Bench:
    """Measures one peer after another against the same upstream.

    Attributes:
        upstream: is running.
        directory: where request bodies and the peers' files go.
    """

    upstream: Upstream
    loadgen: Loadgen
    cores: Cores
    directory: Path
    effort: Effort
    patience: Patience

    @property
    def pictures(self) -> Path:
        """Where a part may leave SVG files for the report."""
        directory = self.directory / "pictures"
        directory.mkdir(exist_ok=True)
        return directory

    @contextmanager
    def start(self, peer: Peer, *, front: TlsFront | None = None, models: int = 1) -> Iterator[Running]:
        """A context in which the peer is up and forwards to the upstream, over TLS if there is a `front`.

        Raises:
            BenchmarkError: it doesn't come up, or doesn't pass on what the upstream answers.
        """
        self.upstream.script()
        if peer.command is None:
            yield Running(peer, front.tls_port if front else self.upstream.port, None, "https" if front else "http")
            return
        home = self.directory / peer.name
        home.mkdir(exist_ok=True)
        upstream_port = front.tls_port if front else self.upstream.port
        authority = front.authority if front else None
        place = Place(peer.port or free_port(), upstream_port, home, authority, models)
        server = Server(
            peer.command(place),
            port=place.port,
            core=self.cores.proxy,
            ready=peer.door.chat(),
            log=self.directory / f"{peer.name}.log",
        )
        with server:
            running = Running(peer, place.port, server)
            self._check(running, stream=False)
            self._check(running, stream=True)
            yield running

    def measure(
        self,
        key: Key,
        round_number: int,
        running: Running,
        load: Callable[[], Outcome],
        helpers: Sequence[Server] = (),
    ) -> Sample:
        """Apply the load until the machine was calm meanwhile or patience is at its end; the calmest try counts.

        `helpers` are what else belongs to the load's side.
        """
        tries: list[Sample] = []
        while not tries or (tries[-1].is_noisy and self.patience.allows_try(len(tries) + 1)):
            self.patience.wait_until_calm(self.cores)
            began_s = time.monotonic()
            tries.append(self._measure_once(key, round_number, running, load, helpers))
            if len(tries) > 1:
                self.patience.spend(time.monotonic() - began_s)
        calmest = min(tries, key=lambda sample: sample.foreign_share + sample.stolen_share)
        return msgspec.structs.replace(calmest, tries=len(tries))

    def wrk(self, running: Running, request: Request, connections: int, secs: int) -> WrkResult:
        """Run wrk on the peer."""
        origin = f"{running.scheme}://127.0.0.1:{running.port}"
        return run_wrk(origin, request, self.directory, connections=connections, secs=secs, core=self.cores.load)

    def warm_up(self, running: Running, request: Request) -> float:
        """Keep the peer busy for a while; gives the answers per second of its 64 connections."""
        timed = self.loadgen.whole_answers(running.port, request, connections=64, secs=self.effort.warm_up_s)
        return timed.per_s

    def _measure_once(
        self, key: Key, round_number: int, running: Running, load: Callable[[], Outcome], helpers: Sequence[Server]
    ) -> Sample:
        before = self._usage(running, helpers)
        outcome = load()
        after = self._usage(running, helpers)
        elapsed_s = after.clock_s - before.clock_s
        peer_s, load_s = after.peer_s - before.peer_s, after.load_s - before.load_s
        busy_s = after.cores.busy_s - before.cores.busy_s
        foreign_s = max(0.0, busy_s - peer_s - load_s - (after.own_s - before.own_s))
        values = {key: value for key, value in outcome.values.items() if not math.isnan(value)}
        if outcome.units is not None:
            values |= {PEER_CORE: peer_s / elapsed_s, LOAD_CORE: load_s / elapsed_s}
            if running.server and outcome.units:  # a direct connection spends none
                values[CPU_US] = 1e6 * peer_s / outcome.units
        return Sample(
            part=key.part,
            case=key.case,
            peer=key.peer,
            round=round_number,
            values=values,
            curve=[(x, y) for x, y in outcome.curve if not math.isnan(y)],
            trouble=outcome.trouble or ("" if outcome.units != 0 else "nothing was answered"),
            foreign_share=foreign_s / elapsed_s,
            stolen_share=(after.cores.stolen_s - before.cores.stolen_s) / elapsed_s,
        )

    def _usage(self, running: Running, helpers: Sequence[Server]) -> _Usage:
        own = os.times()
        helpers_s = sum(server.cpu_s() for server in (self.upstream, *helpers))
        return _Usage(
            clock_s=time.monotonic(),
            peer_s=running.server.cpu_s() if running.server else 0.0,
            load_s=helpers_s + own.children_user + own.children_system,
            own_s=own.user + own.system,
            cores=core_times(self.cores),
        )

    def _check(self, running: Running, *, stream: bool) -> None:
        """Raise `BenchmarkError` unless the peer passes on what the upstream answers."""
        request = running.chat(stream=stream)
        status, answer = ask(running.port, request)
        if running.peer.is_exact:
            is_good = (status, answer) == ask(self.upstream.port, Request("/v1/chat/completions", request.body))
        else:
            is_good = status == 200 and (not stream or answer.count(b" tok") == EVENTS_PER_STREAM - 2)
        if not is_good:
            shown = answer[:200].decode(errors="replace")
            kind = "a stream" if stream else "an answer"
            raise BenchmarkError(f"it changes {kind} of the upstream: status {status}, {shown!r}")
