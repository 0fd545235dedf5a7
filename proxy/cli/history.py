"""The commands `history` and `rollback`: what was changed, and the way back."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from proxy.cli.changing import Terms, change, change_options
from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import print_json, print_table
from proxy.cli.words import moment, route_in_words

if TYPE_CHECKING:
    from proxy.admin.changes.payloads import Changed, Changelog

# Of the routes and drains that one change touches, those that are named.
_MOST_NAMED = 5


@click.command()
@click.argument("model", required=False)
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many changes.")
@click.option("--before", type=click.IntRange(min=1), metavar="REVISION", help="Only those before this one.")
@proxy_options
def history(model: str | None, limit: int, before: int | None, proxy: Running) -> None:
    """Print what was changed, newest first: everything, or the dynamic route of MODEL."""
    page = proxy.api.history(model, limit, before)
    if proxy.as_json:
        print_json(page)
        return
    print_table(
        ("revision", "when", "who", "what", "why"),
        [
            (
                str(each.revision),
                "" if each.at is None else moment(each.at),
                each.actor,
                f"{each.action}{_what(each)}",
                each.reason,
            )
            for each in page.changes
        ],
    )


@click.command()
@click.option(
    "--to", "to_revision", type=click.IntRange(min=0), required=True, metavar="REVISION", help="See `history`."
)
@change_options
@proxy_options
def rollback(to_revision: int, terms: Terms, proxy: Running) -> None:
    """Put routes and drains in force as they were once a revision was. This can be rolled back as well."""
    from proxy.admin.changes.payloads import RollbackBody  # noqa: PLC0415
    from proxy.cli import calls  # noqa: PLC0415

    call = calls.rolling_back(RollbackBody(to_revision, terms.reason, cut_old=terms.cut_old))

    def done(made: "Changed") -> Iterator[str]:
        yield f"Routes and drains are as they were at revision {to_revision} (revision {made.revision})."

    change(proxy, call, terms, done)


def _what(change: "Changelog") -> str:
    named = [
        f"{each.model} → {'no dynamic route' if each.after is None else route_in_words(each.after)}"
        for each in change.routes
    ]
    named += [f"{each.provider} → {'in service' if each.after is None else 'drained'}" for each in change.drains]
    if len(named) > _MOST_NAMED:
        named[_MOST_NAMED:] = [f"and {len(named) - _MOST_NAMED} more"]
    return ": " + "; ".join(named) if named else ""
