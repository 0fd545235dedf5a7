"""The command `reload`: a running proxy reads its configuration anew."""

import click

from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import print_json, print_line


@click.command()
@proxy_options
def reload(proxy: Running) -> None:
    """Have a running proxy read its configuration anew and put it in force, without losing a request.

    If anything is wrong with it nothing changes; every fault is printed, and the exit status is 1.
    """
    answer = proxy.api.reload()
    if proxy.as_json:
        print_json(answer)
        return
    print_line(f"Reloaded (revision {answer.revision}).")
    print_line(f"Providers: {answer.providers}")
    print_line(f"Models: {answer.models}")
    if answer.needs_restart:
        print_line(f"Only a restart changes: {', '.join(answer.needs_restart)}")
