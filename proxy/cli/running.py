"""How a command finds the running proxy that it asks."""

from typing import TYPE_CHECKING

import click
import msgspec

from proxy.cli.options import packed

if TYPE_CHECKING:  # the HTTP client is imported by the command that needs it
    from proxy.cli.admin_api import AdminApi


class Running(msgspec.Struct, frozen=True):
    """A running proxy, and in what shape to print what it says."""

    url: str
    token: str
    as_json: bool

    def __repr__(self) -> str:
        return f"Running({self.url!r})"  # without the token

    @property
    def api(self) -> "AdminApi":
        """Its admin API."""
        from proxy.cli.admin_api import AdminApi  # noqa: PLC0415 - the HTTP client, only where one is needed

        return AdminApi(self.url, self.token)


proxy_options = packed(
    "proxy",
    Running,
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
"""The options that say which proxy to ask, and in what shape to print: the argument `proxy`, a `Running`."""
