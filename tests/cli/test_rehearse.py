"""The rehearsal of an outage, from its first error to what it cost."""

import json

import pytest

from proxy.upstream import breaker
from tests.cli.conftest import invoke


@pytest.fixture(autouse=True)
def quick_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The breaker's times are in step with those of a short rehearsal."""
    monkeypatch.setattr(breaker, "FIRST_OPEN_S", 1.0)
    monkeypatch.setattr(breaker, "LONGEST_OPEN_S", 1.0)


def test_an_outage_is_told_step_by_step_and_costs_nothing_after_the_drain() -> None:
    """The story comes in order, and the figures at its end."""
    result = invoke("rehearse", "outage", "--seconds", "4")

    assert result.exit_code == 0
    places = [
        result.stdout.index(words)
        for words in (
            "All is well:",
            "alpha breaks:",
            "What one sees after",
            "1 endpoint out of service",
            "What a drain would do: gpt-4o to beta:straw-large. Models without another way: none.",
            "pointsman drain alpha",
            "Traffic has moved:",
            "alpha was asked ",
            "alpha is well again",
            "pointsman restore alpha",
            "phase\trequests\tfailed",
            "requests failed.",
        )
    ]
    assert places == sorted(places)


def test_an_outage_for_programs() -> None:
    """`--json` gives the figures alone: in each phase, who answered, and that nothing failed from the drain on."""
    result = invoke("rehearse", "outage", "--seconds", "4", "--json")
    cost = json.loads(result.stdout)
    before, broken, drained, restored = cost["phases"]
    # A request that is sent just before a change may be routed just behind it.
    mostly = {phase["name"]: max(phase["served_by"], key=phase["served_by"].get) for phase in (before, drained)}

    assert (result.exit_code, cost["ok"]) == (0, True)
    assert mostly == {"before": "alpha", "drained": "beta"}
    assert "beta" in broken["served_by"]
    assert "alpha" in restored["served_by"]
    assert drained["failed"] == restored["failed"] == 0
    assert cost["breaker_open_after_s"] is not None
    assert cost["back_after_s"] is not None


@pytest.mark.parametrize("seconds", ["1", "601", "soon"])
def test_it_is_bounded_in_time(seconds: str) -> None:
    """Neither too short for a story nor endless."""
    assert invoke("rehearse", "outage", "--seconds", seconds).exit_code == 2
