"""The command `rehearse`: an incident to practise on, and what it cost."""

import logging
import sys
import time
from typing import TYPE_CHECKING

import click

from proxy.cli.terminal import Failure, print_json, print_line, print_table
from proxy.cli.words import milliseconds

if TYPE_CHECKING:
    from proxy.rehearsal import Cost


@click.group()
def rehearse() -> None:
    """Practise an incident on simulated providers; nothing of yours is touched."""


@rehearse.command()
@click.option(
    "--seconds", type=click.FloatRange(2, 600), default=24, show_default=True, help="How long all of it takes."
)
@click.option("--json", "as_json", is_flag=True, help="Print what it cost as JSON, and not the story.")
def outage(seconds: float, *, as_json: bool) -> None:
    """Have a provider fail under load, drain it, restore it, and tell what it cost.

    The proxy and the providers are of their own, on free ports of this machine. The exit status is 1 if a request
    failed from the drain on.
    """
    import asyncio  # noqa: PLC0415

    from proxy.app import event_loop  # noqa: PLC0415
    from proxy.rehearsal import rehearse_outage  # noqa: PLC0415

    # What the proxy would log is part of the story.
    logging.getLogger("pointsman").addHandler(logging.NullHandler())
    began = time.monotonic()

    def say(text: str) -> None:
        first, *more = text.split("\n")
        print_line(f"{time.monotonic() - began:5.1f} s  {first}")
        for line in more:
            print_line(f"         {line}")
        sys.stdout.flush()

    def say_nothing(_: str) -> None:
        return

    try:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            cost = runner.run(rehearse_outage(seconds, say_nothing if as_json else say))
    except OSError as error:
        raise Failure(f"The rehearsal can't start: {error}.") from None
    if as_json:
        print_json(cost)
    else:
        _print_cost(cost)
    if not cost.ok:
        sys.exit(1)


def _print_cost(cost: "Cost") -> None:
    usual = cost.phases[0]
    click.echo()
    print_table(
        ("phase", "requests", "failed", "first content p50", "p95", "added to p50", "to p95"),
        [
            (
                each.name,
                str(each.requests),
                str(each.failed),
                milliseconds(each.first_content_p50_ms),
                milliseconds(each.first_content_p95_ms),
                _added(each.first_content_p50_ms, usual.first_content_p50_ms),
                _added(each.first_content_p95_ms, usual.first_content_p95_ms),
            )
            for each in cost.phases
        ],
    )
    requests, failed = (sum(counts) for counts in zip(*((p.requests, p.failed) for p in cost.phases), strict=True))
    print_line(f"What it cost: {failed} of {requests} requests failed.")
    for fault in (fault for phase in cost.phases for fault in phase.faults):
        print_line(f"  {fault}")
    if cost.breaker_open_after_s is not None:
        print_line(f"The breaker was open {cost.breaker_open_after_s:.1f} s after the first error.")
    if cost.back_after_s is None:
        print_line("After the restore the breaker had no time left to try again.")


def _added(value: float | None, usual: float | None) -> str:
    return "-" if value is None or usual is None else f"{value - usual:+.0f} ms"
