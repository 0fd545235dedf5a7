"""The command line. Exit status: 0 all is well, 1 it failed, 2 bad usage or configuration.

What takes time to import (the server, the HTTP client, the tables on a terminal) is imported by the command that
needs it, so that `pointsman --help` is there at once.
"""

from proxy.cli.commands import main

__all__ = ["main"]
