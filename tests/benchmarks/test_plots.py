"""The pictures: well-formed SVG in which the values can be found."""

import math
from xml.etree import ElementTree as ET

import pytest

from benchmarks.plots import bar_chart, line_chart
from benchmarks.report import draw
from tests.benchmarks.samples import run_of, sample

SVG = "{http://www.w3.org/2000/svg}"
PEERS = ["direct", "nginx", "<odd> & peer"]


def texts(svg: str) -> list[str]:
    """What is written in a picture."""
    return [text.text or "" for text in ET.fromstring(svg).iter(f"{SVG}text")]


def bars(svg: str) -> list[float]:
    """The lengths of the bars, without the ground and the legend."""
    rects = [rect for rect in ET.fromstring(svg).iter(f"{SVG}rect") if rect.get("height") == "13"]
    return [float(rect.get("width", "")) for rect in rects]


def test_bars_are_as_long_as_their_values_within_their_group() -> None:
    """Each group has a scale of its own, from zero."""
    svg = bar_chart("t", {"a": {"direct": 100.0, "nginx": 50.0}, "b": {"nginx": 3.0}}, lambda v: f"{v:.0f}", PEERS)
    lengths = bars(svg)

    assert pytest.approx(2.0, rel=0.01) == lengths[0] / lengths[1]
    assert lengths[2] == lengths[0]
    assert {"t", "a", "b", "100", "50", "3", "direct", "nginx"} <= set(texts(svg))


def test_bars_of_a_single_peer_share_a_scale() -> None:
    """With nobody to compare with, the cases are compared."""
    lengths = bars(bar_chart("t", {"a": {"nginx": 10.0}, "b": {"nginx": 5.0}}, str, PEERS))

    assert pytest.approx(2.0, rel=0.01) == lengths[0] / lengths[1]


def test_names_are_escaped() -> None:
    """A peer may be called anything."""
    svg = bar_chart("a < b", {"<&>": {"<odd> & peer": 1.0}}, str, PEERS)

    assert {"a < b", "<&>", "<odd> & peer"} <= set(texts(svg))


def test_peer_keeps_its_colour() -> None:
    """Whoever else is in a picture."""
    alone = bar_chart("t", {"a": {"nginx": 1.0}}, str, PEERS)
    beside = line_chart("t", ("x", "y"), {"direct": [(1, 1)], "nginx": [(1, 2)]}, PEERS, "log")

    assert 'class="fill1"' in alone
    assert 'class="fill0"' not in alone
    assert 'class="line stroke1"' in beside


@pytest.mark.parametrize("x_scale", ["log", "nines"])
def test_lines_rise_with_their_values(x_scale: str) -> None:
    """Further right and higher up for larger values, all within the picture."""
    points = [(50.0, 1.0), (90.0, 10.0), (99.0, 100.0), (100.0, 1000.0)]
    svg = line_chart("t", ("x", "ms"), {"direct": points}, PEERS, "log" if x_scale == "log" else "nines", limit=5.0)
    circles = list(ET.fromstring(svg).iter(f"{SVG}circle"))
    places = [(float(circle.get("cx", "")), float(circle.get("cy", ""))) for circle in circles]

    assert places == sorted(places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
    assert all(0 < x < 760 and 0 < y < 400 for x, y in places)
    assert svg.count('class="limit"') == 1


@pytest.mark.parametrize("line", [[], [(1.0, 0.0)], [(1.0, 2.0)], [(1.0, math.nan)]])
def test_picture_of_next_to_nothing_is_whole(line: list[tuple[float, float]]) -> None:
    """A part in which all went wrong doesn't keep the report from being written."""
    ET.fromstring(line_chart("t", ("x", "y"), {"direct": line}, PEERS, "log"))
    ET.fromstring(bar_chart("t", {"a": {"direct": 0.0}}, str, PEERS))


def test_each_part_that_was_measured_has_a_picture() -> None:
    """Bars for the first figure; lines, a picture for each case, where a part has curves."""
    streams = sample("nginx", part="open-loop", case="90%")
    streams.curve.extend([(50.0, 1.0), (99.0, 3.0)])
    drawn = draw(run_of(sample("nginx"), streams))

    assert sorted(drawn) == ["open-loop-1.svg", "throughput-1.svg"]
    for svg in drawn.values():
        ET.fromstring(svg)
