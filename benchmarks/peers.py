"""Who is measured: how each peer is started, where it listens, and how it wants to be asked."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from benchmarks.chat import Door
from benchmarks.errors import BenchmarkError
from benchmarks.program import find_program
from benchmarks.server import Command

OWN_ROOT = Path(__file__).parents[1]
COMPILED = OWN_ROOT / "build" / "compiled"
"""Where `make compiled` puts the same source with its path of each request compiled."""
_NGINX = Path(__file__).with_name("nginx")


@dataclass(frozen=True)
class Place:
    """What a peer is told: where to listen, whom to forward to, and a directory for its files.

    Attributes:
        authority: the certificate to trust, where the upstream is asked over TLS.
        models: how many models there are to choose from; `gpt-4o` is the one in the middle.
    """

    port: int
    upstream_port: int
    directory: Path
    authority: Path | None = None
    models: int = 1

    @property
    def upstream(self) -> str:
        """The upstream's address as a URL without a path."""
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.upstream_port}"


@dataclass(frozen=True)
class Peer:
    """Something that stands between the client and the upstream.

    Attributes:
        what: what it is, for the report.
        command: writes the files that the peer needs and gives the command that runs it; None where there is nothing
            to run, the direct connection.
        door: how it is asked.
        port: where it listens, if that is not ours to choose.
        is_exact: whether its answers have to be the upstream's, byte for byte.
        speaks_tls: whether its upstream may be one of TLS.
        root: for Pointsman, the checkout that is run.
    """

    name: str
    what: str
    command: Callable[[Place], Command] | None = None
    door: Door = field(default_factory=Door)
    port: int | None = None
    is_exact: bool = True
    speaks_tls: bool = True
    root: Path | None = None


def nginx_command(template: str, directory: Path, **values: object) -> Command:
    """The command that runs nginx with one of our configurations, filled in."""
    config = directory / template
    config.write_text(Template((_NGINX / template).read_text()).substitute(values))
    return Command([find_program("nginx") or "nginx", "-p", str(directory), "-c", str(config), "-e", "stderr"])


def _nginx(place: Place) -> Command:
    verify = ""
    if place.authority:
        verify = f"proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_trusted_certificate {place.authority};"
    scheme = place.upstream.partition(":")[0]
    return nginx_command(
        "nginx.conf",
        place.directory,
        port=place.port,
        upstream_port=place.upstream_port,
        scheme=scheme,
        verify=verify,
    )


def _floor(place: Place) -> Command:
    trusted = {"SSL_CERT_FILE": str(place.authority)} if place.authority else {}
    words = [sys.executable, "-m", "benchmarks.aiohttp_floor", str(place.port), place.upstream]
    return Command(words, OWN_ROOT, trusted)


def pointsman(name: str, root: Path) -> Peer:
    """Pointsman as it is in the checkout `root`."""
    kind = {COMPILED: "compiled", OWN_ROOT: "not compiled"}.get(root, "of another checkout")
    return Peer(name, f"`pointsman serve`, one process, {kind}", lambda place: _pointsman(place, root), root=root)


def python_of(root: Path) -> str:
    """The interpreter of a checkout: its own environment's, or else the one that runs here."""
    own = root / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _pointsman(place: Place, root: Path) -> Command:
    if not root.exists():
        raise BenchmarkError(f"there is no {root.name} Pointsman: make compiled")
    trusted = f', ca_bundle: "{place.authority}"' if place.authority else ""
    names = [f"model-{number}" for number in range(place.models)]
    names[len(names) // 2] = "gpt-4o"
    config = place.directory / "proxy.yaml"
    config.write_text(
        f"""\
providers:
  mock: {{derives: openai, base_url: "{place.upstream}/v1", api_key: sk-upstream{trusted}}}
models:
"""
        + "".join(f"  {name}: {{endpoints: [{{provider: mock, model_id: gpt-4o}}]}}\n" for name in names)
    )
    words = [python_of(root), "-m", "proxy", "serve", "--config", str(config), "--listen", f"127.0.0.1:{place.port}"]
    # Quiet as the other peers, which log no requests either.
    return Command([*words, "--log-level", "warning"], root)


REFERENCES = ("direct", "nginx", "floor")
"""Whom every figure is compared with; they have no goals."""

PEERS = {
    peer.name: peer
    for peer in (
        Peer("direct", "no proxy: the load straight to the upstream, both on the load's core"),
        Peer("nginx", "one worker as a plain proxy, no buffering", _nginx),
        Peer("floor", "aiohttp's server and client, forwarding and nothing else", _floor),
        pointsman("pointsman", COMPILED),
        pointsman("interpreted", OWN_ROOT),
    )
}
