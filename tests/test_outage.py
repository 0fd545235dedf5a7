"""An outage of the first of two providers costs no request. (`python -m tests.outage` has one of a minute.)"""

import pytest

from proxy.upstream import breaker
from tests.outage.run import OUTAGES, percentile_ms, run


@pytest.mark.parametrize("outage", OUTAGES)
async def test_an_outage_costs_no_request(outage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under constant load nothing fails, answers stay fast, the first provider comes back, and nobody is overrun."""
    monkeypatch.setattr(breaker, "FIRST_OPEN_S", 0.3)
    monkeypatch.setattr(breaker, "LONGEST_OPEN_S", 0.6)

    report = await run(outage, before_s=0.6, out_s=1.5, back_within_s=20, rate=40)

    assert not report.failed
    assert {each.provider for each in report.before} == {"first"}
    assert len(report.while_open_s) > 20
    assert percentile_ms(report.while_open_s, 50) < 2 * percentile_ms(report.normal_s, 50)
    assert sum(report.received) <= report.allowed
    # It was left alone: beside the requests that opened the breaker, only trials came to it in vain.
    served = sum(each.provider == "first" for each in (*report.before, *report.during, *report.after))
    assert report.received[0] - served < len(report.during) / 2
