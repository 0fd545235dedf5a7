"""Peers that are given on the command line: any other proxy, or another checkout of this one."""

import shlex
from pathlib import Path
from urllib.parse import urlsplit

import click

from benchmarks.chat import Door
from benchmarks.peers import PEERS, Peer, Place, pointsman
from benchmarks.server import Command

_KEYS = ("start", "model", "headers")


def parse_peer(text: str) -> Peer:
    """The peer in `NAME=URL,start=COMMAND[,model=NAME][,headers=NAME: VALUE|...]`.

    The URL is that of the peer's `/v1`; its port may be `{port}`, else it is fixed. In the command (no shell's)
    `{port}`, `{upstream_port}` and `{directory}`, an empty one for its files, are filled in; its environment has PORT,
    UPSTREAM_PORT and UPSTREAM_URL as well.

    Raises:
        click.BadParameter: it is something else.
    """
    name, _, rest = text.partition("=")
    url, *pairs = rest.split(",")
    options: dict[str, str] = {}
    last = ""
    for pair in pairs:
        key, found, value = pair.partition("=")
        if found and key in _KEYS:
            options[last := key] = value
        elif last:  # a comma within a value
            options[last] += f",{pair}"
    parts = urlsplit(url.replace("{port}", "0"))
    if not (_is_new(name) and parts.scheme == "http" and parts.port is not None and options.get("start")):
        raise click.BadParameter(f"{text!r} is not NAME=URL,start=COMMAND with a new name and a URL with a port.")
    headers = dict(header.split(": ", 1) for header in options.get("headers", "").split("|") if ": " in header)
    door = Door(f"{parts.path.rstrip('/')}/chat/completions", options.get("model", "gpt-4o"), headers)
    start = options["start"]
    return Peer(
        name,
        f"`{start}`",
        lambda place: _command(start, place),
        door=door,
        port=parts.port or None,
        is_exact=False,
        speaks_tls=False,
    )


def parse_checkout(text: str) -> Peer:
    """The peer in `NAME=DIRECTORY`, another checkout of Pointsman; it runs in its own `.venv` if it has one.

    Raises:
        click.BadParameter: it is something else.
    """
    name, _, directory = text.partition("=")
    root = Path(directory).expanduser().resolve()
    if not (directory and _is_new(name) and (root / "proxy" / "app.py").exists()):
        raise click.BadParameter(f"{text!r} is not NAME=DIRECTORY with a new name and a checkout of Pointsman.")
    return pointsman(name, root)


def _is_new(name: str) -> bool:
    return name.replace("-", "").replace("_", "").isalnum() and name not in PEERS


def _command(start: str, place: Place) -> Command:
    known = {"port": place.port, "upstream_port": place.upstream_port, "directory": place.directory}
    words = shlex.split(start)
    for key, value in known.items():
        words = [word.replace(f"{{{key}}}", str(value)) for word in words]
    environment = {"PORT": str(place.port), "UPSTREAM_PORT": str(place.upstream_port), "UPSTREAM_URL": place.upstream}
    return Command(words, place.directory, environment)
