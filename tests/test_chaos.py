"""Random faults on both sides leave nothing behind. (`python -m tests.chaos` does the same with 100,000 requests.)"""

import asyncio
from collections.abc import Callable

import pytest

from proxy.app import event_loop
from tests.chaos.clients import MANNERS
from tests.chaos.run import run

# Kept on purpose: one for each endpoint, for each kind of request to each, for each way in which one can end, or of the
# few latest requests and events.
KEPT = {
    *("Call", "RequestTemplate", "Head", "EndpointHealth", "Breaker", "RetryBudget", "ConcurrencyLimit"),
    *("EndpointCell", "WayCell", "Histogram", "Count"),
    *("Outcome", "Attempt", "Resolution", "RoutingTarget", "Tokens", "UsageWatch", "Event"),
}


@pytest.mark.parametrize(
    ("requests", "loop_factory"), [(1500, event_loop), (700, asyncio.new_event_loop)], ids=["uvloop", "asyncio"]
)
def test_faults_leave_nothing_behind(requests: int, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """After many requests with faults: no connection, file or task is left, no object, and nobody got another's answer."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        report = runner.run(run(requests))

    assert not report.faults
    assert not any(report.left_open.values()), report.left_open
    assert (report.after.files, report.after.tasks) == (report.before.files, report.before.tasks)
    grown = {name for name, count in report.after.objects.items() if count > report.before.objects.get(name, 0)}
    assert grown <= KEPT
    # Few of each, however many requests there were; other tests in this process may have left some before.
    assert sum(report.after.objects.get(name, 0) - report.before.objects.get(name, 0) for name in KEPT) < 300
    assert report.after.resident_mib < report.warm.resident_mib + 40
    # Every manner of client came, and those that did nothing wrong were served.
    assert {end.partition(":")[0] for end in report.ends} == set(MANNERS)
    assert report.ends["asks: 200"] > 5
    assert report.ends["uploads: 200"] > 2
