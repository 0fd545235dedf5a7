"""A shift to a sick endpoint takes itself back in time and costs next to nothing. (`python -m tests.ramp` has more.)"""

import pytest

from tests.ramp.run import SICKNESSES, run


@pytest.mark.parametrize("sickness", SICKNESSES)
async def test_a_sick_endpoint_costs_next_to_nothing(sickness: str) -> None:
    """Within two windows of the guard, with fewer than one in a hundred requests failed meanwhile."""
    report = await run(sickness, rate=100, window_s=3, is_sick_at_first=True)

    assert report.windows < 2
    assert len(report.failed) < 0.01 * max(report.sent, 1)
    assert report.reason.startswith("took itself back at 10 %")


async def test_one_that_falls_ill_on_the_way() -> None:
    report = await run("a third fails", rate=100, window_s=1, is_sick_at_first=False)

    assert report.windows < 2
    assert len(report.failed) < 0.01 * report.sent
    assert report.reason.startswith("took itself back at 25 %")
