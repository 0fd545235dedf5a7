"""The report, and where it is kept."""

from pathlib import Path

import msgspec

from benchmarks.report import Run, render
from benchmarks.results import keep
from tests.benchmarks.samples import rows, run_of, sample


def test_each_figure_stands_in_ratio_to_the_references_of_the_run() -> None:
    """Throughput is compared with direct, nginx and floor; CPU time with the proxies only, since direct spends none."""
    figures = {"direct": 4000.0, "nginx": 2000.0, "floor": 800.0, "pointsman": 500.0}
    run = run_of(*(sample(peer, requests_per_s=figure, cpu_us=1e6 / figure) for peer, figure in figures.items()))
    del run.samples[0].values["cpu_us"]
    report = render(run)

    assert rows(report, "pointsman")[0] == ["500", "-", "0.125", "0.250", "0.625", "-", "-"]
    assert rows(report, "pointsman")[1] == ["2,000.0", "-", "4.000", "1.600"]
    assert len(rows(report, "direct")) == len(rows(report, "pointsman")) - 1
    assert run.is_whole


def test_what_a_peer_adds_to_direct_is_shown_where_that_counts() -> None:
    """The time to the first byte has a column for it."""
    found = [sample(peer, part="first-byte", p50_us=time) for peer, time in (("direct", 30.0), ("pointsman", 110.0))]
    report = render(run_of(*found))

    assert rows(report, "pointsman")[0] == ["110", "-", "80", "3.667"]
    assert "+ direct" in report


def test_sample_that_went_wrong_marks_the_row_and_takes_its_ratios_away() -> None:
    """A single failed request in any round is enough; nothing is compared with it."""
    broken = msgspec.structs.replace(sample("nginx", number=2), trouble="1 errors")
    run = run_of(sample("nginx"), broken, sample("pointsman"))
    report = render(run)

    assert "nginx **(invalid)**" in report
    assert rows(report, "nginx")[0][2] == "-"
    assert rows(report, "pointsman")[0][2] == "-"
    assert "- **invalid**: nginx, throughput, plain, 64 connections, round 2: 1 errors" in report
    assert not run.is_whole


def test_noise_and_what_was_skipped_are_named() -> None:
    """A measurement that others disturbed is named with their share, a peer that was left out with the reason."""
    noisy = msgspec.structs.replace(sample("nginx"), foreign_share=0.25, stolen_share=0.01, tries=3)
    run = run_of(noisy, skipped={"pointsman in tls": "it did not come up"}, notes=["there is no flame graph"])
    report = render(run)

    assert "1 of 1 measurements were noisy" in report
    assert "nginx, throughput, plain, 64 connections, round 1 (others 25%, hypervisor 1%, the calmest of 3)" in report
    assert "**skipped**: pointsman in tls: it did not come up" in report
    assert "- there is no flame graph" in report
    assert not run.is_whole


def test_tool_that_one_can_do_without_leaves_the_run_whole() -> None:
    """A note is no failure."""
    assert run_of(sample("nginx"), notes=["py-spy is not installed"]).is_whole


def test_raw_results_can_be_read_again() -> None:
    """The JSON of a run holds everything that the report is made of."""
    run = run_of(sample("nginx"), skipped={"floor in tls": "why"})
    again = msgspec.json.decode(msgspec.json.encode(run), type=Run)

    assert render(run) == render(again)


def test_report_is_kept_with_its_pictures_and_shows_them(tmp_path: Path) -> None:
    """Every picture that the report shows lies beside it, those that a part left included."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "flame-pointsman.svg").write_text("<svg/>")
    path, report = keep(run_of(sample("nginx"), sample("nginx", part="flame")), pictures, tmp_path / "results")
    shown = [line.partition("](")[2].rstrip(")") for line in report.splitlines() if line.startswith("![")]

    assert path.read_text() == report
    assert len(shown) == 2
    assert all((path.parent / name).exists() for name in shown)
    assert path.with_suffix(".json").exists()
