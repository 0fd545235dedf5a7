"""The command `resolve`: where a request for a model would go, and why."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.running import Running, proxy_options
from proxy.cli.settings import CONFIG_FILE, load_or_exit
from proxy.cli.terminal import Failure, print_json, print_line
from proxy.cli.words import in_order, place

if TYPE_CHECKING:
    from proxy.admin.payloads import Explanation


@click.command()
@click.argument("model")
@click.option(
    "--config", type=CONFIG_FILE, metavar="FILE", help="Tell it from this file alone, without a running proxy."
)
@proxy_options
def resolve(model: str, config: Path | None, proxy: Running) -> None:
    """Say where a request for MODEL would go, in which order, and why."""
    answer = proxy.api.resolve(model) if config is None else _resolve_from_file(model, config)
    if proxy.as_json:
        print_json(answer)
        return
    print_line(f"{answer.model} goes to {in_order(answer.strategy, list(map(place, answer.endpoints)))}.")
    print_line(f"Source: {answer.source}. {answer.why}")
    if (below := answer.shadowed) is not None:
        print_line(f"Without it: {in_order(below.strategy, list(map(place, below.endpoints)))}.")
    print_line(f"Revision: {answer.revision}")


def _resolve_from_file(model: str, config: Path) -> "Explanation":
    """What the admin API of a proxy just started with this file would answer."""
    from proxy.admin.desk import Desk  # noqa: PLC0415
    from proxy.config import Current  # noqa: PLC0415
    from proxy.routing import ConfigRoutingTable, DynamicRoutingTable, UnknownModelError  # noqa: PLC0415

    settings = load_or_exit(config)
    table = DynamicRoutingTable(ConfigRoutingTable(settings.providers, settings.models))
    try:
        return Desk(table, Current(settings)).resolve(model)
    except UnknownModelError as error:
        raise Failure(error.message) from None
