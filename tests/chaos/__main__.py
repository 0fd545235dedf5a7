"""`python -m tests.chaos --requests 100000`: the full run, with figures."""

import asyncio
import sys
from argparse import ArgumentParser

from proxy.app import event_loop
from tests.chaos.clients import MANNERS
from tests.chaos.run import Report, run


def main() -> int:
    """Run it, say how it went; 1 if anything is left."""
    parser = ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument(
        "--manner", choices=MANNERS, action="append", help="only these, such as 'leaves while it waits'"
    )
    options = parser.parse_args()
    factory = event_loop if options.loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        report = runner.run(run(options.requests, options.seed, options.manner or tuple(MANNERS)))
    show(report)
    is_clean = report.after[:2] == report.before[:2] and not any(report.left_open.values()) and not report.faults
    return 0 if is_clean else 1


def show(report: Report) -> None:
    """Print the figures."""
    print(f"{sum(report.ends.values())} requests in {report.seconds:.0f} s")
    for label, census in (("before", report.before), ("warm", report.warm), ("after", report.after)):
        print(f"{label:>6}: {census.files} files, {census.tasks} tasks, {census.resident_mib:.1f} MiB resident")
    grown = {
        name: (report.before.objects.get(name, 0), report.warm.objects.get(name, 0), count)
        for name, count in report.after.objects.items()
        if count > report.before.objects.get(name, 0)
    }
    print(f"objects that are more (before, warm, after): {grown}")
    print(f"still open: {report.left_open}")
    print(f"clients that left: {dict(report.left_in)}")
    for end, count in sorted(report.ends.items()):
        print(f"{count:>8}  {end}")
    print(f"{len(report.faults)} faults")
    for fault in report.faults[:30]:
        print(f"    {fault}")


if __name__ == "__main__":
    sys.exit(main())
