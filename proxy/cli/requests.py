"""The command `requests`: the latest that are over, and why they went where they went."""

import click

from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import print_json, print_table
from proxy.cli.words import clock_of, milliseconds, went_to


@click.command()
@click.option("--model", help="Only those for this model.")
@click.option("--provider", help="Only those that asked this provider, whoever answered.")
@click.option("--status", metavar="503|5xx", help="Only those answered with this status, or class of them.")
@click.option("--failed", is_flag=True, help="Only those whose client got an error of ours, or less than an answer.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@proxy_options
def requests(
    model: str | None, provider: str | None, status: str | None, *, failed: bool, limit: int, proxy: Running
) -> None:
    """Print the latest requests, newest first, and why they went where they went. Never their bodies."""
    wanted = {"model": model, "provider": provider, "status": status, "failed": "true" if failed else None}
    answer = proxy.api.requests({**wanted, "limit": str(limit)})
    if proxy.as_json:
        print_json(answer)
        return
    print_table(
        ("time", "model", "went to", "status", "first byte", "all of it", "why"),
        [
            (
                clock_of(each.time),
                each.model or "-",
                went_to(each),
                str(each.status or "none"),
                milliseconds(each.first_byte_ms),
                milliseconds(each.duration_ms),
                f"{each.why} {each.error or ''}".strip(),
            )
            for each in answer.requests
        ],
    )
