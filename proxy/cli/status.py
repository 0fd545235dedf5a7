"""The command `status`: how a running proxy is, once or all the time."""

from typing import TYPE_CHECKING

import click

from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import print_json, print_line
from proxy.cli.words import lasting, percent

if TYPE_CHECKING:
    from proxy.admin.status import Status


@click.command()
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C, with every route and endpoint, each second.")
@proxy_options
def status(*, watch: bool, proxy: Running) -> None:
    """Say how a running proxy is: revision, traffic, what is swapped, drained and out of service.

    With --watch and --json, one object per line: {"status", "readings"}, or {"lost"} without a connection.
    """
    if watch:
        from proxy.cli.watch import watch as watch_all  # noqa: PLC0415

        watch_all(proxy)
        return
    answer = proxy.api.status()
    if proxy.as_json:
        print_json(answer)
        return
    for line in _in_words(answer):
        print_line(line)


def _in_words(status: "Status") -> list[str]:
    lines = [
        f"{status.words}.",
        f"Revision {status.revision}, version {status.version}, up {lasting(status.uptime_s)}, store: {status.store}",
        f"{status.requests_per_s:.1f} requests/s and {percent(status.error_share)} errors in {status.window_s:.0f} s",
        f"{status.in_flight} in flight",
    ]
    if status.drained:
        lines.append(f"Drained: {', '.join(status.drained)}")
    if status.out_of_service:
        lines.append(f"Out of service: {', '.join(status.out_of_service)}")
    return lines
