"""The commands that steer a shift under way: a route that takes over from another bit by bit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from proxy.cli.changing import Terms, change, change_options
from proxy.cli.running import Running, proxy_options
from proxy.cli.words import route_in_words

if TYPE_CHECKING:
    from proxy.admin.changes.payloads import Changed


@click.group()
def shift() -> None:
    """Steer a shift under way; `routes swap --shift 5,25,100` begins one, `routes show` tells how far it is."""


@shift.command()
@click.argument("model")
@change_options
@proxy_options
def pause(model: str, terms: Terms, proxy: Running) -> None:
    """Let the shift of MODEL stay at its step. The guard goes on watching."""
    _steer(model, "pause", terms, proxy)


@shift.command()
@click.argument("model")
@change_options
@proxy_options
def resume(model: str, terms: Terms, proxy: Running) -> None:
    """Let the paused shift of MODEL go on, with a whole step's time before the next."""
    _steer(model, "resume", terms, proxy)


@shift.command()
@click.argument("model")
@change_options
@proxy_options
def abort(model: str, terms: Terms, proxy: Running) -> None:
    """Put the route of MODEL in force which there was before the shift."""
    _steer(model, "abort", terms, proxy)


def _steer(model: str, action: str, terms: Terms, proxy: Running) -> None:
    from proxy.admin.changes.payloads import ReasonBody  # noqa: PLC0415
    from proxy.cli import calls  # noqa: PLC0415

    change(proxy, calls.shifting(model, action, ReasonBody(terms.reason, cut_old=terms.cut_old)), terms, _now)


def _now(made: "Changed") -> Iterator[str]:
    for diff in made.routes:
        yield f"{diff.model} goes to {route_in_words(diff.after)} (revision {made.revision})."
