"""The command `token`: makes a token for a person or a program, and the line that lets it in."""

import secrets
import sys

import click

from proxy.cli.terminal import print_json, print_line
from proxy.config import Role, hash_token
from proxy.config.access import token_name


@click.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    default=str(Role.VIEWER),
    show_default=True,
    help="What it may do: viewer sees all, operator changes routes, admin does the rest as well.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def token(name: str, role: str, *, as_json: bool) -> None:
    """Make a token for NAME, and the line of the config file that lets it in.

    The token is printed this once: the config file holds its hash, from which nobody can get it back.
    """
    try:
        token_name(name)
    except ValueError as error:
        click.echo(f"pointsman: expected {error}", err=True)
        sys.exit(2)
    made = secrets.token_urlsafe(32)
    entry = {"name": name, "role": role, "hash": hash_token(made)}
    if as_json:
        print_json({"token": made, "entry": entry})
        return
    print_line(f"Token, shown this once: {made}")
    print_line("For the config file, below admin.tokens; it takes effect with a reload:")
    print_line(f'    - {{name: "{name}", role: {role}, hash: "{entry["hash"]}"}}')
