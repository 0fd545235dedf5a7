"""`python -m proxy` is the same program as `pointsman`."""

from proxy.cli import main

main(prog_name="pointsman")
