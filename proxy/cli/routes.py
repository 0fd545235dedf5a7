"""The commands that ask a running proxy for its routes; `route_changes.py` has those that switch them."""

from typing import TYPE_CHECKING

import click
from msgspec import UNSET

from proxy.cli.history import history
from proxy.cli.route_changes import apply_routes, remove_route, rollback_route, set_route, swap_route
from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import print_json, print_line, print_table
from proxy.cli.words import change_in_words, moment, place, route_in_words

if TYPE_CHECKING:
    from proxy.admin.payloads import RouteInForce


@click.group()
def routes() -> None:
    """See and switch the routes of a running proxy."""


@routes.command("list")
@proxy_options
def list_routes(proxy: Running) -> None:
    """Print every route in force."""
    answer = proxy.api.list_routes()
    if proxy.as_json:
        print_json(answer)
        return
    print_table(
        ("model", "source", "strategy", "endpoints, in order"),
        [
            (
                route.model,
                f"{route.source}, shadows config" if route.shadows_config else route.source,
                "; ".join([_strategy(route), *(f"{name}: {value}" for name, value in route.unusual().items())]),
                ", ".join(map(place, route.endpoints)),
            )
            for route in answer.routes
        ],
    )


def _strategy(route: "RouteInForce") -> str:
    return route.strategy if route.shift is UNSET else f"{route.strategy}, {route.shift.share:g} % shifted"


@routes.command("show")
@click.argument("model")
@proxy_options
def show_route(model: str, proxy: Running) -> None:
    """Print one route: where it leads, how its endpoints are, and what was last changed about it."""
    api = proxy.api
    route, providers, changes = api.resolve(model), api.providers(), api.history(model, limit=5).changes
    if proxy.as_json:
        print_json({"route": route, "changes": changes})
        return
    states = {
        (provider.name, endpoint.model_id): endpoint
        for provider in providers.providers
        for endpoint in provider.endpoints
    }
    avoided = {(each.provider, each.model_id): each.reason for each in route.passed_over}
    print_line(f"{route.model} goes to {route_in_words(route)}")
    print_line(f"Source: {route.source}. {route.why}")
    if route.shift is not UNSET and route.shift.judgement is not None:
        print_line(f"The guard at {moment(route.shift.judgement.at)}: {route.shift.judgement.message}")
    if route.shadowed is not None:
        print_line(f"Without it: {route_in_words(route.shadowed)}")
    rows = []
    for endpoint in route.endpoints:
        key = (endpoint.provider, endpoint.model_id)
        state, context = states.get(key), endpoint.max_input_tokens
        rows.append(
            (
                f"{endpoint.provider}:{endpoint.model_id}",
                str(endpoint.weight),
                "" if context in {UNSET, None} else f"{context:,}",
                avoided.get(key) or ("not asked yet" if state is None else f"breaker {state.state.replace('_', '-')}"),
                "0" if state is None else str(state.in_flight),
            )
        )
    print_table(("endpoint", "weight", "max input tokens", "state", "in flight"), rows)
    for change in changes:
        print_line(f"Changed: {change_in_words(change)}")
    print_line(f"Revision: {route.revision}")


for command in (swap_route, set_route, remove_route, apply_routes, rollback_route, history):
    routes.add_command(command)
