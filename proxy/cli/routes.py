"""The commands that ask a running proxy for its routes and switch them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.running import proxy_options, running_proxy
from proxy.cli.settings import CONFIG_FILE, load_or_exit
from proxy.cli.terminal import Failure, print_json, print_line, print_table

if TYPE_CHECKING:  # what imports the HTTP client is imported by the command that needs it
    from proxy.admin.payloads import EndpointBody, Explanation
    from proxy.routing import RouteEndpoint

_STRATEGIES = "How to choose: priority, load_balance, weighted, least_latency or sticky."
_HOW = {
    "load_balance": "in turn",
    "weighted": "by weight",
    "least_latency": "where an answer is expected sooner",
    "sticky": "the same one for requests that belong together",
}


@click.group()
def routes() -> None:
    """See and switch the routes of a running proxy."""


@routes.command("list")
@proxy_options
def list_routes(url: str, token: str, *, as_json: bool) -> None:
    """Print every route in force."""
    answer = running_proxy(url, token).list_routes()
    if as_json:
        print_json(answer)
        return
    print_table(
        ("model", "source", "strategy", "endpoints, in order"),
        [
            (
                route.model,
                f"{route.source}, shadows config" if route.shadows_config else route.source,
                "; ".join([route.strategy, *(f"{name}: {value}" for name, value in route.unusual().items())]),
                ", ".join(map(_place, route.endpoints)),
            )
            for route in answer.routes
        ],
    )


@routes.command("set")
@click.argument("model")
@click.argument("endpoints", metavar="PROVIDER:MODEL_ID...", nargs=-1, required=True)
@click.option("--strategy", default="priority", show_default=True, help=_STRATEGIES)
@proxy_options
def set_route(model: str, endpoints: Sequence[str], strategy: str, url: str, token: str, *, as_json: bool) -> None:
    """Send MODEL to these endpoints, in this order, from the next request on.

    Creates or replaces the dynamic route of MODEL; it shadows the config route of that name.
    """
    from proxy.admin.payloads import RouteBody  # noqa: PLC0415

    body = RouteBody(model, tuple(map(_parse_endpoint, endpoints)), strategy)
    answer = running_proxy(url, token).set_route(body)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{model} goes to {_in_order(strategy, endpoints)} (revision {answer.revision}).")


@routes.command("remove")
@click.argument("model")
@proxy_options
def remove_route(model: str, url: str, token: str, *, as_json: bool) -> None:
    """Remove the dynamic route of MODEL, so that its config route is back in force."""
    answer = running_proxy(url, token).remove_route(model)
    if as_json:
        print_json(answer)
    else:
        print_line(f"The dynamic route of {model} is removed (revision {answer.revision}).")


@click.command()
@click.argument("model")
@click.option(
    "--config", type=CONFIG_FILE, metavar="FILE", help="Tell it from this file alone, without a running proxy."
)
@proxy_options
def resolve(model: str, config: Path | None, url: str, token: str, *, as_json: bool) -> None:
    """Say where a request for MODEL would go, in which order, and why."""
    answer = running_proxy(url, token).resolve(model) if config is None else _resolve_from_file(model, config)
    if as_json:
        print_json(answer)
        return
    print_line(f"{answer.model} goes to {_in_order(answer.strategy, list(map(_place, answer.endpoints)))}.")
    print_line(f"Source: {answer.source}. {answer.why}")
    if (below := answer.shadowed) is not None:
        print_line(f"Without it: {_in_order(below.strategy, list(map(_place, below.endpoints)))}.")
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


def _parse_endpoint(text: str) -> "EndpointBody":
    from proxy.admin.payloads import EndpointBody  # noqa: PLC0415

    provider, _, model_id = text.partition(":")
    if not (provider and model_id):
        raise click.BadParameter(f"`{text}` is no PROVIDER:MODEL_ID, such as openai:gpt-4o.")
    return EndpointBody(provider, model_id)


def _in_order(strategy: str, places: Sequence[str]) -> str:
    """The endpoints in words, as the strategy takes them."""
    if len(places) == 1:
        return places[0]
    if strategy == "priority":
        return f"{places[0]}, ahead of {', '.join(places[1:])}"
    return f"{', '.join(places[:-1])} and {places[-1]}, {_HOW.get(strategy, f'by {strategy}')}"


def _place(endpoint: "RouteEndpoint") -> str:
    return f"{endpoint.provider}:{endpoint.model_id}"
