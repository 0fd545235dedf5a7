"""`python -m tests.ramp --rate 300`: shifts to sick endpoints at a larger scale, with figures."""

import asyncio
import sys
from argparse import ArgumentParser

from proxy.app import event_loop
from tests.ramp.run import SICKNESSES, run


def main() -> int:
    """Run them, say how it went; 1 if one was too slow in taking itself back, or cost too much."""
    parser = ArgumentParser(prog="python -m tests.ramp", description=__doc__)
    parser.add_argument("--rate", type=float, default=300, help="requests a second")
    parser.add_argument("--window", type=float, default=5.0, help="the guard's, in seconds")
    options = parser.parse_args()
    status = 0
    for sickness in SICKNESSES:
        for is_sick_at_first in (True, False):
            with asyncio.Runner(loop_factory=event_loop) as runner:
                report = runner.run(run(sickness, options.rate, options.window, is_sick_at_first=is_sick_at_first))
            when = "from the start" if is_sick_at_first else "at the second step"
            print(
                f"{sickness}, {when}: at {report.share:g} % took itself back after {report.windows:.2f} windows; "
                f"{len(report.failed)} of {report.sent} requests failed\n    {report.reason}",
                flush=True,
            )
            for failed in report.failed[:3]:
                print(f"    {failed}")
            if report.windows > 2 or len(report.failed) > 0.01 * report.sent:
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
