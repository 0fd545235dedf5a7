"""The command `check`: what a config file comes to, or everything that is wrong with it."""

import sys
from pathlib import Path

import click

from proxy.cli.settings import CONFIG_FILE, exit_with_faults, load
from proxy.cli.terminal import print_json, print_line, print_table, printable
from proxy.config import ConfigError, Settings, describe_settings


@click.command()
@click.argument("file", type=CONFIG_FILE, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(file: Path | None, *, as_json: bool) -> None:
    """Print what a config file comes to, secrets masked, or everything that is wrong with it.

    Without FILE, checks what `serve` would use. The exit status is 1 if it can't be used.
    """
    try:
        settings = load(file)
    except ConfigError as error:
        if not as_json:
            exit_with_faults(error, status=1)
        print_json({"faults": error.faults})
        sys.exit(1)
    if as_json:
        print_json(describe_settings(settings))
    else:
        _print_settings(settings)


def _print_settings(settings: Settings) -> None:
    description = describe_settings(settings)
    admin = settings.admin.listen or settings.server.listen
    token = "with a token" if settings.admin.needs_token else "without a token"
    print_line(f"Settings from {settings.source}")
    print_line(f"Takes traffic at {settings.server.listen}; admin plane at {admin}, {token}")
    click.echo("\nProviders")
    print_table(
        ("name", "protocol", "base URL", "auth", "key"),
        [
            (provider.name, protocol, spec.base_url, spec.auth, "***" if provider.api_key else "none")
            for provider in settings.providers.values()
            for protocol, spec in provider.protocols.items()
        ],
    )
    click.echo("\nModels")
    print_table(
        ("model", "strategy", "endpoints"),
        [
            (name, model.strategy, ", ".join(f"{each.provider}:{each.model_id}" for each in model.endpoints))
            for name, model in settings.models.items()
        ],
    )
    warnings = description["warnings"]
    for warning in warnings if isinstance(warnings, list) else ():
        click.echo(printable(f"Warning: {warning}"), err=True)
