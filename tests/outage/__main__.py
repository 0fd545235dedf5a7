"""`python -m tests.outage --seconds 60`: the full outage, with figures."""

import asyncio
import sys
from argparse import ArgumentParser

from proxy.app import event_loop
from proxy.upstream.breaker import LONGEST_OPEN_S
from tests.outage.run import OUTAGES, Report, percentile_ms, run


def main() -> int:
    """Run it, say how it went; 1 if a request failed, or cost too much."""
    parser = ArgumentParser(prog="python -m tests.outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--kind", choices=[*OUTAGES, "all"], default="all")
    options = parser.parse_args()
    status = 0
    for kind in OUTAGES if options.kind == "all" else [options.kind]:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            report = runner.run(run(kind, 10, options.seconds, 2 * LONGEST_OPEN_S, options.rate))
        show(kind, report)
        is_fast = percentile_ms(report.while_open_s, 50) < 2 * percentile_ms(report.normal_s, 50)
        if report.failed or sum(report.received) > report.allowed or not is_fast:
            status = 1
    return status


def show(kind: str, report: Report) -> None:
    """Print the figures."""
    print(f"{kind}: {report.sent} requests in {report.seconds:.0f} s, {len(report.failed)} failed")
    for failed in report.failed[:10]:
        print(f"    {failed}")
    for label, times in (("before the outage", report.normal_s), ("while the breaker is open", report.while_open_s)):
        figures = ", ".join(f"p{percent} {percentile_ms(times, percent):.1f} ms" for percent in (50, 95, 99))
        print(f"    first byte {label}: {figures} ({len(times)} requests)")
    first, second = report.received
    print(
        f"    at the providers: {first} + {second} = {first + second} requests, {first + second - report.sent} more "
        f"than the clients sent; allowed: {report.allowed:.0f}"
    )
    print(f"    back: {report.back_s:.1f} s after the end of the outage", flush=True)


if __name__ == "__main__":
    sys.exit(main())
