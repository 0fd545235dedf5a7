"""Peers from the command line."""

from pathlib import Path

import click
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.foreign import parse_checkout, parse_peer
from benchmarks.peers import OWN_ROOT, Place, pointsman


def test_peer_is_started_by_its_command_with_the_places_filled_in(tmp_path: Path) -> None:
    """A start script gets the ports as arguments or in its environment."""
    peer = parse_peer("mine=http://127.0.0.1:{port}/v1,start=./run --listen {port} 'to {upstream_port}',model=big")
    assert peer.command is not None
    command = peer.command(Place(4000, 5000, tmp_path))

    assert command.words == ["./run", "--listen", "4000", "to 5000"]
    assert command.environment == {"PORT": "4000", "UPSTREAM_PORT": "5000", "UPSTREAM_URL": "http://127.0.0.1:5000"}
    assert (peer.port, peer.door.path, peer.door.model) == (None, "/v1/chat/completions", "big")


def test_peer_may_have_a_port_a_path_and_headers_of_its_own() -> None:
    """As proxies have that can't be told."""
    peer = parse_peer("mine=http://127.0.0.1:9218/openai/v1,headers=A: 1|B: x,y,start=/srv/start.sh")

    assert (peer.port, peer.door.path) == (9218, "/openai/v1/chat/completions")
    assert peer.door.headers == {"A": "1", "B": "x,y"}
    assert not peer.is_exact


@pytest.mark.parametrize(
    "text",
    ["", "mine", "mine=http://127.0.0.1:1/v1", "mine=http://127.0.0.1/v1,start=x", "nginx=http://a:1/v1,start=x"],
)
def test_peer_that_can_not_be_is_refused(text: str) -> None:
    """Without a start command, a port, or a name of its own."""
    with pytest.raises(click.BadParameter, match="is not NAME=URL,start=COMMAND"):
        parse_peer(text)


def test_checkout_is_started_from_its_own_directory(tmp_path: Path) -> None:
    """Python finds the package of the directory that it starts in first."""
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "app.py").touch()
    peer = parse_checkout(f"before={tmp_path}")
    assert peer.command is not None

    assert peer.command(Place(4000, 5000, tmp_path)).directory == tmp_path
    assert peer.root == tmp_path


@pytest.mark.parametrize("text", ["before=", "before=/nowhere", f"pointsman={OWN_ROOT}"])
def test_checkout_that_is_none_is_refused(text: str) -> None:
    """A directory without the package, or a name that is taken."""
    with pytest.raises(click.BadParameter, match="is not NAME=DIRECTORY"):
        parse_checkout(text)


def test_what_was_not_compiled_says_how_it_is(tmp_path: Path) -> None:
    """The benchmark measures what `make compiled` has made, and doesn't make it."""
    peer = pointsman("pointsman", tmp_path / "compiled")
    assert peer.command is not None

    with pytest.raises(BenchmarkError, match="make compiled"):
        peer.command(Place(4000, 5000, tmp_path))


def test_config_of_many_models_has_the_one_that_is_asked_for_in_the_middle(tmp_path: Path) -> None:
    """The file is written with as many models as wanted."""
    peer = parse_checkout(f"before={OWN_ROOT}")
    assert peer.command is not None
    peer.command(Place(4000, 5000, tmp_path, models=5))
    models = [line.split(":")[0].strip() for line in (tmp_path / "proxy.yaml").read_text().splitlines()[3:]]

    assert models == ["model-0", "model-1", "gpt-4o", "model-3", "model-4"]
