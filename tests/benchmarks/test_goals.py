"""The goals."""

import msgspec
import pytest

from benchmarks.figures import collect
from benchmarks.goals import GOALS, Goal, against, case_against_case, figure_of, over_direct
from benchmarks.parts import PARTS
from benchmarks.report import render
from tests.benchmarks.samples import rows, run_of, sample


def a_goal(*, more_is_better: bool) -> Goal:
    """A goal whose must and aim lie apart."""
    must, aim = (0.45, 0.55) if more_is_better else (1.8, 1.2)
    return Goal("some figure", lambda *_: None, must, aim, more_is_better=more_is_better)


@pytest.mark.parametrize(
    ("more_is_better", "value", "verdict"),
    [
        (True, 0.55, "aim reached"),
        (True, 0.45, "must reached"),
        (True, 0.449, "**missed**"),
        (False, 1.2, "aim reached"),
        (False, 1.8, "must reached"),
        (False, 1.801, "**missed**"),
        (True, None, "not measured"),
    ],
)
def test_verdict_is_strict_at_the_bounds(*, more_is_better: bool, value: float | None, verdict: str) -> None:
    """What equals a bound reaches it; what is a hair off doesn't."""
    assert a_goal(more_is_better=more_is_better).verdict(value) == verdict


def test_bounds_show_their_direction() -> None:
    """A reader sees whether it is a floor or a ceiling."""
    assert a_goal(more_is_better=True).bound(0.45) == "≥ 0.45"
    assert a_goal(more_is_better=False).bound(1.2) == "≤ 1.2"


def test_findings_are_ratios_and_differences_of_one_run() -> None:
    """Against a reference, over the direct connection, and one case against another."""
    found = [
        sample("direct", p50_us=30.0),
        sample("nginx", requests_per_s=2000.0),
        sample("pointsman", p50_us=110.0),
        sample("pointsman", case="other", requests_per_s=500.0),
    ]
    cells = collect(found, ["direct", "nginx", "pointsman"])
    part, case = "throughput", "plain, 64 connections"

    assert against("nginx", part, case, "requests_per_s")(cells, "pointsman") == 0.5
    assert over_direct(part, case, "p50_us")(cells, "pointsman") == 80.0
    assert case_against_case(part, case, "other", "requests_per_s")(cells, "pointsman") == 2.0
    assert figure_of(part, case, "p50_us")(cells, "nginx") is None
    assert against("nginx", part, "never measured", "requests_per_s")(cells, "pointsman") is None


def test_goals_stand_at_the_top_for_each_peer_that_is_no_reference() -> None:
    """Only what was measured is judged."""
    run = run_of(sample("nginx"), sample("pointsman", requests_per_s=500.0))
    lines = [line for line in render(run).splitlines() if line.startswith("| ")][:3]

    assert "pointsman |" in lines[0]
    assert "nginx |" not in lines[0]
    assert "≥ 0.45" in lines[2]
    assert "0.5: must reached" in lines[2]
    assert rows(render(run), "≥ 0.6") == []


def test_goals_look_at_what_the_parts_measure() -> None:
    """A case that is renamed in a part must not leave a goal without figures: each is found when all is measured."""
    peers = ["direct", "nginx", "floor", "pointsman"]
    figures = {
        "throughput": [f"plain, {n} connection{'s' * (n > 1)}" for n in (1, 64, 256)],
        "capacity": ["an event every 20 ms per stream"],
        "paced": ["256 streams, an event every 10 ms"],
        "first-byte": ["1 connection"],
        "memory": ["open stream"],
        "bodies": ["10 MB request"],
        "routes": ["10 routes, ten names", "100,000 routes, ten names"],
        "changes": ["swap, 100,000 routes", "page, 100,000 routes"],
        "start": ["start to first answer"],
    }
    keys = {figure.key for part in PARTS.values() for figure in part.figures}
    found = [
        msgspec.structs.replace(sample(peer, part=part, case=case), values=dict.fromkeys(keys, 1.0))
        for part, cases in figures.items()
        for case in cases
        for peer in peers
    ]
    cells = collect(found, peers)

    assert [goal.title for goal in GOALS if goal.find(cells, "pointsman") is None] == []
