"""How every command that changes something goes about it: it looks first, asks where that matters, and changes once.

At a terminal a person sees what the change does and what speaks against it before it is made. Elsewhere it is made at
once, unless requests would be refused by it. Either way it is made for the revision that was looked at: if somebody
else changes the table in between, it is looked at again.
"""

import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from proxy.cli.options import packed
from proxy.cli.running import Running
from proxy.cli.terminal import Failure, print_json, print_line, print_note
from proxy.cli.words import MOMENT, differences, left_behind

if TYPE_CHECKING:
    from proxy.admin.changes.payloads import Changed
    from proxy.cli.calls import ChangeCall

# How often a change is looked at anew because others changed something meanwhile.
_MOST_LOOKS = 5
# What no script should come upon by chance: requests that are refused, or have nowhere to go that is well.
_DANGERS = frozenset({"no_route", "none_usable", "no_other_way"})

Made = TypeVar("Made", bound="Changed")


class Terms(msgspec.Struct, frozen=True):
    """How a change is to be made."""

    reason: str
    if_revision: int | None
    cut_old: bool
    dry_run: bool
    yes: bool


change_options = packed(
    "terms",
    Terms,
    click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the history."),
    click.option(
        "--if-revision",
        type=click.IntRange(min=0),
        metavar="N",
        help="Change only what you saw: refuse if another revision is in force. The same command can't act twice then.",
    ),
    click.option("--cut-old", is_flag=True, help="End the answers under way at endpoints that are left."),
    click.option("--dry-run", is_flag=True, help="Only say what would change, and what speaks against it."),
    click.option("--yes", is_flag=True, help="Don't ask."),
)
"""The options of every change: the argument `terms`, a `Terms`."""


def nothing_more(_: "Changed") -> Iterator[str]:
    """There is nothing to say beside the differences."""
    return iter(())


def change(
    proxy: Running,
    call: "ChangeCall[Made]",
    terms: Terms,
    done: Callable[[Made], Iterable[str]],
    more: Callable[[Made], Iterable[str]] = nothing_more,
    *,
    look: "ChangeCall[Made] | None" = None,
) -> None:
    """Make a change and print what came of it, or with `--dry-run` what would.

    Args:
        proxy: where.
        call: the change.
        terms: how it is to be made.
        done: says that it is made.
        more: what to tell a person of it beforehand, beside the differences.
        look: what to ask for to see what it would do, if that isn't the change itself.
    """
    look = look or call
    if terms.dry_run:
        foreseen = proxy.api.foresee(look, terms.if_revision)
        if proxy.as_json:
            print_json(foreseen)
            return
        for line in _preview(foreseen, more):
            print_line(line)
        print_line("Nothing was changed: this was a dry run.")
        return
    made, is_told = _make(proxy, call, look, terms, more)
    if not is_told:
        for warning in made.warnings:
            print_note(f"Warning: {warning.message}")
    if proxy.as_json:
        print_json(made)
        return
    if not (made.routes or made.drains):
        print_line(f"Nothing to change: it is so already (revision {made.revision}).")
        return
    for line in chain(done(made), left_behind(made)):
        print_line(line)


def _make(
    proxy: Running,
    call: "ChangeCall[Made]",
    look: "ChangeCall[Made]",
    terms: Terms,
    more: Callable[[Made], Iterable[str]],
) -> tuple["Made", bool]:
    """What came of it, and whether a person was told of it before."""
    from proxy.cli.refusals import StaleError  # noqa: PLC0415

    api, key = proxy.api, secrets.token_hex(16)
    if terms.yes:
        return api.change(call, key, terms.if_revision), False
    is_asked = is_somebody_there()
    told: list[str] | None = None
    for _ in range(_MOST_LOOKS):
        foreseen = api.foresee(look, terms.if_revision)
        if is_asked:
            preview = list(_preview(foreseen, more))
            # What begins or ends a moment later is the same change.
            if (said := [MOMENT.sub("", line) for line in preview]) != told:
                _ask(preview, is_new=told is None)
                told = said
        else:
            _refuse_danger(foreseen)
        try:
            return api.change(call, key, foreseen.revision), is_asked
        except StaleError:
            if terms.if_revision is not None:
                raise
    raise Failure("Others change the routes faster than this command can look. Nothing was changed: try again.")


def is_somebody_there() -> bool:
    """Whether a person can be asked: what goes to stdout may go elsewhere."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _preview(foreseen: Made, more: Callable[[Made], Iterable[str]]) -> Iterator[str]:
    yield from differences(foreseen)
    yield from more(foreseen)
    for warning in foreseen.warnings:
        yield f"Warning: {warning.message}"


def _ask(preview: Iterable[str], *, is_new: bool) -> None:
    if not is_new:
        print_note("Somebody changed something meanwhile. Now it would be:")
    for line in preview:
        print_note(line)
    if not click.confirm("Make this change?", err=True):
        raise Failure("Nothing was changed.")


def _refuse_danger(foreseen: "Changed") -> None:
    dangers = [warning.message for warning in foreseen.warnings if warning.code in _DANGERS]
    if dangers:
        raise Failure(f"{dangers[0]} Nothing was changed: --yes makes the change all the same.", *dangers[1:])
