"""Settings for a command: loaded from where the program looks for them, or the end of the program with every fault."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from proxy.cli.terminal import printable
from proxy.config import ConfigError, Settings, find_config, load_settings, settings_from

CONFIG_FILE = click.Path(dir_okay=False, path_type=Path)


def load(config: Path | None) -> Settings:
    """The settings of the file, or of the one that is found without it; raises `ConfigError`."""
    return load_settings(find_config(config, os.environ, Path.cwd(), Path.home()), os.environ)


def load_or_exit(config: Path | None) -> Settings:
    """The same, but faults end the program with status 2."""
    try:
        return load(config)
    except ConfigError as error:
        exit_with_faults(error, status=2)


def exit_with_faults(error: ConfigError, status: int) -> NoReturn:
    """End the program, every fault on a line of its own."""
    for fault in error.faults:
        click.echo(printable(str(fault)), err=True)
    sys.exit(status)


def listening_at(address: str) -> Settings:
    """Settings that take traffic at `HOST:PORT`, which is read as in a config file; raises `click.BadParameter`."""
    try:
        return settings_from({"server": {"listen": address}})
    except ConfigError as error:
        raise click.BadParameter(error.faults[0].message, param_hint="--listen") from None
