"""The commands that see providers, take them out of service, and put them back."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from proxy.cli.changing import Terms, change, change_options
from proxy.cli.options import seconds
from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import print_json, print_table
from proxy.cli.words import drain_in_words, moment

if TYPE_CHECKING:
    from proxy.admin.changes.payloads import Drained

# Of the models that a drain concerns, those that are named.
_MOST_NAMED = 20


@click.command()
@proxy_options
def providers(proxy: Running) -> None:
    """Print the configured providers: drains, breakers, requests under way."""
    answer = proxy.api.providers()
    if proxy.as_json:
        print_json(answer)
        return
    print_table(
        ("provider", "protocols", "state", "endpoints", "in flight"),
        [
            (
                each.name,
                ", ".join(each.protocols),
                drain_in_words(each.drain),
                ", ".join(f"{endpoint.model_id}: {endpoint.state.replace('_', '-')}" for endpoint in each.endpoints),
                str(sum(endpoint.in_flight for endpoint in each.endpoints)),
            )
            for each in answer.providers
        ],
    )


@click.command()
@click.argument("provider")
@click.option("--for", "for_s", type=seconds, metavar="TIME", help="How long, such as 2h; then it is restored.")
@click.option("--force", is_flag=True, help="Refuse the requests of models that have no other way.")
@change_options
@proxy_options
def drain(provider: str, for_s: float | None, *, force: bool, terms: Terms, proxy: Running) -> None:
    """Take PROVIDER out of service: every route avoids it from the next request on.

    Models that have no other way keep it, unless --force. Requests under way finish, unless --cut-old.
    """
    from proxy.admin.changes.payloads import DrainBody  # noqa: PLC0415
    from proxy.cli import calls  # noqa: PLC0415

    body = DrainBody(terms.reason, cut_old=terms.cut_old, expires_in_s=for_s, force=force)

    def done(made: "Drained") -> Iterator[str]:
        until = "" if made.expires_at is None else f" until {moment(made.expires_at)}"
        count = made.affected_total
        models = "1 model avoids it" if count == 1 else f"{count} models avoid it"
        stuck = f", {made.without_other_way_total} of them without another way" if made.without_other_way else ""
        yield f"Provider {provider} is drained{until}: {models}{stuck} (revision {made.revision})."

    change(proxy, calls.draining(provider, body), terms, done, _affected)


@click.command()
@click.argument("provider")
@change_options
@proxy_options
def restore(provider: str, terms: Terms, proxy: Running) -> None:
    """Put PROVIDER, which is drained, back in service."""
    from proxy.admin.changes.payloads import ReasonBody  # noqa: PLC0415
    from proxy.cli import calls  # noqa: PLC0415

    call = calls.restoring(provider, ReasonBody(terms.reason, cut_old=terms.cut_old))
    change(proxy, call, terms, lambda made: [f"Provider {provider} is back in service (revision {made.revision})."])


def _affected(foreseen: "Drained") -> Iterator[str]:
    """Where each model's requests go then."""
    for each in foreseen.affected[:_MOST_NAMED]:
        goes = ", then ".join(each.goes_to) or "nowhere: they are refused"
        yield f"  {each.model}: {goes}{'' if each.other_way else '  (no other way)'}"
    if (more := foreseen.affected_total - _MOST_NAMED) > 0 and foreseen.affected:
        yield f"  and {more} more models"
