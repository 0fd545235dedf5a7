"""Medians, spreads and ratios."""

import msgspec
import pytest

from benchmarks.figures import Cell, Figure, Key, collect
from tests.benchmarks.samples import sample


def test_cell_gives_median_and_spread_over_the_rounds() -> None:
    """The median counts; the spread is the distance of the extremes as a share of it, none for a single round."""
    cell = Cell([sample("nginx", requests_per_s=n) for n in (90.0, 100.0, 120.0)])

    assert cell.median("requests_per_s") == 100
    assert pytest.approx(0.3) == cell.spread("requests_per_s")
    assert Cell([sample("nginx")]).spread("requests_per_s") is None


def test_figure_that_was_not_found_has_no_median() -> None:
    """A direct connection spends no CPU time: that is no zero, it isn't there."""
    cell = Cell([sample("direct")])

    assert cell.median("cpu_us") is None
    assert cell.spread("cpu_us") is None


def test_ratio_is_of_medians() -> None:
    """Each side's median counts, not the median of the ratios."""
    own = Cell([sample("pointsman", requests_per_s=n) for n in (10.0, 20.0, 90.0)])
    other = Cell([sample("nginx", requests_per_s=n) for n in (40.0, 50.0, 400.0)])

    assert own.ratio(other, "requests_per_s") == 0.4


@pytest.mark.parametrize("missing", ["no reference", "invalid", "zero", "not found"])
def test_nothing_is_compared_with_what_means_nothing(missing: str) -> None:
    """There is no ratio to a reference that wasn't measured, had errors, or has no such figure."""
    reference = sample("nginx", requests_per_s=0.0 if missing == "zero" else 10.0)
    if missing == "invalid":
        reference = msgspec.structs.replace(reference, trouble="3 errors")
    key = "cpu_us" if missing == "not found" else "requests_per_s"

    cell = Cell([sample("pointsman", cpu_us=1.0)])

    assert cell.ratio(None if missing == "no reference" else Cell([reference]), key) is None


def test_rows_come_in_the_order_in_which_they_are_compared() -> None:
    """Cases as they were measured first, peers in the order of the run, whatever the rounds' order was."""
    found = [("nginx", "b"), ("direct", "b"), ("direct", "a"), ("nginx", "a"), ("nginx", "b")]
    cells = collect((sample(peer, case=case) for peer, case in found), ["direct", "nginx"])

    keys = [Key("throughput", case, peer) for case in "ba" for peer in ("direct", "nginx")]
    assert keys == list(cells)
    assert len(cells[keys[1]].rounds) == 2


def test_figures_show_their_digits() -> None:
    """Shares in percent, a missing one as a dash."""
    assert Figure("x", "x", 1).show(1234.56) == "1,234.6"
    assert Figure("x", "x", is_share=True).show(0.987) == "99%"
    assert Figure("x", "x").show(None) == "-"
