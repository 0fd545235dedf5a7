"""The group that all commands stand in, and those that run the program: serve and demo."""

import logging
import sys
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import click
import msgspec

from proxy import __version__
from proxy.cli.server_import import importing_a_server
from proxy.cli.settings import CONFIG_FILE, listening_at, load, load_or_exit
from proxy.config import Address, Settings

# Imported once one is asked for, or listed: the server needs none of them. Each with the module here that it is in.
_COMMANDS: Final = {
    "check": "check",
    "drain": "providers",
    "events": "events",
    "history": "history",
    "preflight": "preflight",
    "providers": "providers",
    "rehearse": "rehearse",
    "reload": "reload",
    "requests": "requests",
    "resolve": "resolve",
    "restore": "providers",
    "rollback": "history",
    "routes": "routes",
    "shadow": "shadow",
    "shift": "shift",
    "status": "status",
    "token": "token",
}


class _Program(click.Group):
    """All commands; what they are given is text."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, as `--help` lists them."""
        return sorted([*super().list_commands(ctx), *_COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None if there is none."""
        if (module := _COMMANDS.get(cmd_name)) is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(f"proxy.cli.{module}"), cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse bytes that are no text in the terminal's encoding: no name is made of them."""
        for arg in args:
            try:
                arg.encode()
            except UnicodeEncodeError:
                raise click.UsageError(f"{arg!a} is no text in the encoding of this terminal.", ctx) from None
        return super().parse_args(ctx, args)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """A reverse proxy for LLM traffic whose routes are switched while requests run."""
    for stream in (sys.stdout, sys.stderr):
        # Where the encoding lacks a character of somebody's name it is shown escaped; it doesn't end the command.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@main.command()
@click.option(
    "--config",
    type=CONFIG_FILE,
    metavar="FILE",
    help="Config file. Without it: $POINTSMAN_CONFIG, ./config/proxy.yaml, ~/.config/pointsman/proxy.yaml; "
    "without any, the providers whose keys are in the environment.",
)
@click.option("--listen", metavar="HOST:PORT", help="Where to take traffic, instead of server.listen.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What to log; each request has a line at info.",
)
def serve(config: Path | None, listen: str | None, log_level: str) -> None:
    """Run the proxy in the foreground until SIGTERM or Ctrl-C."""
    address = None if listen is None else listening_at(listen).server.listen
    settings = _listening(load_or_exit(config), address)
    with importing_a_server():
        from proxy import app  # noqa: PLC0415 - the server, only where one is run
    level = logging.getLevelNamesMapping()[log_level.upper()]
    sys.exit(app.serve(settings, level, lambda: _listening(load(config), address)))


def _listening(settings: Settings, address: Address | None) -> Settings:
    """The settings, but with this address instead of `server.listen`, if there is one."""
    if address is None:
        return settings
    server = msgspec.structs.replace(settings.server, listen=address)
    return msgspec.structs.replace(settings, server=server)


@main.command()
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:8787", show_default=True, help="Where to take traffic."
)
def demo(listen: str) -> None:
    """Run the proxy in front of simulated providers; needs no key and no network."""
    address = listening_at(listen).server.listen
    from proxy import demo as room  # noqa: PLC0415 - the server, only where one is run

    sys.exit(room.demo(str(address)))
