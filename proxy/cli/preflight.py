"""The command `preflight`: asks endpoints for a token before a route leads there."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from proxy.cli.route_changes import parse_endpoint
from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import print_json, print_line
from proxy.cli.words import trial_in_words

if TYPE_CHECKING:
    from proxy.errors import Protocol


@click.command()
@click.argument("endpoints", metavar="PROVIDER:MODEL_ID...", nargs=-1, required=True)
@click.option(
    "--protocol",
    type=click.Choice(["openai", "anthropic", "gemini"]),
    help="What clients will speak; without it, each provider's native one.",
)
@click.option("--streaming", is_flag=True, help="Ask for a stream as well.")
@proxy_options
def preflight(endpoints: Sequence[str], protocol: str | None, *, streaming: bool, proxy: Running) -> None:
    """Ask endpoints for one token, by the way that requests take. The exit status is 1 unless all are well."""
    from proxy.admin.payloads import PreflightBody  # noqa: PLC0415

    tried = proxy.api.preflight(
        PreflightBody(tuple(map(parse_endpoint, endpoints)), _protocol(protocol), streaming=streaming)
    )
    if proxy.as_json:
        print_json(tried)
    else:
        for trial in tried.endpoints:
            print_line(trial_in_words(trial))
    if not tried.ok:
        sys.exit(1)


def _protocol(name: str | None) -> "Protocol | None":
    from proxy.errors import Protocol  # noqa: PLC0415

    return None if name is None else Protocol(name)
