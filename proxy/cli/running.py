"""How a command finds the running proxy that it asks."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # the HTTP client is imported by the command that needs it
    from proxy.cli.admin_api import AdminApi


def proxy_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which proxy to ask, and in what shape to print."""
    options = (
        click.option(
            "--url",
            envvar="POINTSMAN_URL",
            default="http://127.0.0.1:8787",
            show_default=True,
            show_envvar=True,
            help="Where the running proxy's admin plane listens.",
        ),
        click.option(
            "--token",
            envvar="POINTSMAN_ADMIN_TOKEN",
            default="",
            show_envvar=True,
            help="Its admin token. The variable is safer: other users of the machine can read a command line.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the API's JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def running_proxy(url: str, token: str) -> "AdminApi":
    """The admin API of the proxy that the options lead to."""
    from proxy.cli.admin_api import AdminApi  # noqa: PLC0415 - the HTTP client, only where one is needed

    return AdminApi(url, token)
