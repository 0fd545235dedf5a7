"""Who is measured: how each peer is started, where it listens and how one sees that it is up."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from benchmarks.machine import find_program
from benchmarks.server import Server, free_port


@dataclass(frozen=True)
class Place:
    """What a peer is told: where to listen, whom to forward to, and a directory for its files."""

    port: int
    upstream_port: int
    directory: Path


@dataclass(frozen=True)
class Peer:
    """Something that stands between the client and the upstream.

    Attributes:
        what: what it is, for the report.
        ready_path: answers a GET with 200 once the peer takes traffic.
        command: writes the files that the peer needs and gives the command that runs it in the foreground;
            None where there is nothing to run, the direct connection.
    """

    name: str
    what: str
    ready_path: str = "/v1/models"
    command: Callable[[Place], list[str]] | None = None

    def server(self, upstream_port: int, core: int, directory: Path) -> Server | None:
        """The peer's program, ready to be started on `core`; None for the direct connection."""
        if self.command is None:
            return None
        home = directory / self.name
        home.mkdir(exist_ok=True)
        place = Place(free_port(), upstream_port, home)
        log = directory / f"{self.name}.log"
        return Server(self.command(place), port=place.port, core=core, ready_path=self.ready_path, log=log)


def _nginx(place: Place) -> list[str]:
    template = Template((Path(__file__).parent / "nginx" / "nginx.conf").read_text())
    config = place.directory / "nginx.conf"
    config.write_text(template.substitute(port=place.port, upstream_port=place.upstream_port))
    return [find_program("nginx") or "nginx", "-p", str(place.directory), "-c", str(config), "-e", "stderr"]


def _floor(place: Place) -> list[str]:
    return [sys.executable, "-m", "benchmarks.aiohttp_floor", str(place.port), str(place.upstream_port)]


def _pointsman(place: Place) -> list[str]:
    config = place.directory / "proxy.yaml"
    config.write_text(
        f"""\
providers:
  mock: {{derives: openai, base_url: "http://127.0.0.1:{place.upstream_port}/v1", api_key: sk-upstream}}
models:
  gpt-4o:
    endpoints:
      - {{provider: mock, model_id: gpt-4o}}
"""
    )
    listen = f"127.0.0.1:{place.port}"
    quiet = ["--log-level", "warning"]  # as the other peers, which log no requests either
    return [sys.executable, "-m", "proxy", "serve", "--config", str(config), "--listen", listen, *quiet]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("direct", "no proxy: wrk straight to the upstream, both on the load's core"),
        Peer("nginx", "one worker as a plain proxy, no buffering", command=_nginx),
        Peer("floor", "aiohttp's server and client, forwarding and nothing else", command=_floor),
        Peer("pointsman", "`pointsman serve`, one process", "/readyz", _pointsman),
    )
}
