"""What the benchmark makes of the figures it reads; no load runs here."""

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import Plan, counts, main
from benchmarks.errors import BenchmarkError
from benchmarks.load import SCENARIOS, LoadResult, parse_wrk
from benchmarks.machine import CoreTimes, parse_core_times, parse_cpu_list, parse_process_stat
from benchmarks.measurement import Effort, Measurement
from benchmarks.peers import PEERS
from benchmarks.report import Cell, Run, collect, render

WRK_OUTPUT = """\
Running 2s test @ http://127.0.0.1:9100/v1/chat/completions
  1 threads and 64 connections
RESULT {"requests":120,"duration_us":2000000,"p50_us":810,"p99_us":2000,\
"connect_errors":0,"read_errors":3,"write_errors":0,"status_errors":4,"timeouts":1}
"""


def measurement(peer: str, *, requests: int, errors: int = 0, round_number: int = 1, **changes: object) -> Measurement:
    """A calm measurement of one second, in which the peer spent half a second of CPU time."""
    load = LoadResult(
        requests=requests,
        duration_us=1_000_000,
        p50_us=1_500,
        p99_us=4_250,
        connect_errors=0,
        read_errors=0,
        write_errors=0,
        status_errors=errors,
        timeouts=0,
    )
    calm = Measurement(
        peer=peer,
        scenario="plain",
        connections=64,
        round=round_number,
        load=load,
        elapsed_s=1.0,
        peer_cpu_s=0.0 if peer == "direct" else 0.5,
        load_cpu_s=0.9,
        foreign_cpu_s=0.0,
        stolen_s=0.0,
        upstream_connections=64,
        upstream_events=0,
    )
    return msgspec.structs.replace(calm, **changes)


def rows(report: str, peer: str) -> list[list[str]]:
    """The cells of each table row of `peer`, behind its name."""
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in report.splitlines() if line[:1] == "|"]
    return [line[2:] for line in lines if line[1].startswith(peer)]


def test_wrk_result_is_found_among_its_other_output() -> None:
    """The RESULT line gives the counts, and every kind of error counts as one."""
    result = parse_wrk(WRK_OUTPUT)

    assert (result.requests, result.p50_us, result.p99_us) == (120, 810, 2000)
    assert result.errors == 8


def test_wrk_without_result_says_what_wrk_said() -> None:
    """A run that got nowhere is an error with wrk's own words in it."""
    with pytest.raises(BenchmarkError, match=r"unable to connect to 127\.0\.0\.1:1 Connection refused"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_process_stat_survives_an_odd_command_name() -> None:
    """A command name with spaces and parentheses doesn't shift the fields (proc_pid_stat(5))."""
    stat = parse_process_stat("42 (a) b (c) S 1 40 41 0 -1 4194560 100 0 0 0 250 150 30 20 20 0 1 0 99 1000 10")

    assert (stat.session, stat.cpu_s, stat.reaped_children_cpu_s) == (41, 4.0, 0.5)


def test_core_times_are_those_of_the_cores_in_use() -> None:
    """Other cores, idle time and interrupts are left out; stolen time is kept apart."""
    stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 20 30 500 7 8 9 5 0 0\ncpu1 50 0 0 900 1 1 1 0 0 0\ncpu10 999 0 0 0 0 0 0 0 0 0"

    assert CoreTimes(2.0, 0.05) == parse_core_times(stat, (0, 1))


def test_cpu_list_takes_ranges_and_single_numbers() -> None:
    """The kernel writes the hardware threads of a core as `0-2,8` or `0`."""
    assert {0, 1, 2, 8} == parse_cpu_list("0-2,8\n")
    assert {3} == parse_cpu_list("3\n")


def test_cell_gives_median_and_spread_over_the_rounds() -> None:
    """The median counts; the spread is the distance of the extremes as a share of it, none for a single round."""
    cell = Cell([measurement("nginx", requests=n) for n in (90, 100, 120)])

    assert cell.median(lambda measured: measured.requests_per_s) == 100
    assert pytest.approx(0.3) == cell.spread(lambda measured: measured.requests_per_s)
    assert Cell([measurement("nginx", requests=90)]).spread(lambda measured: measured.requests_per_s) is None


def test_report_sets_each_figure_in_ratio_to_the_references_of_the_run() -> None:
    """Throughput is compared with direct, nginx and floor; CPU time with the proxies only, since direct spends none."""
    figures = {"direct": 4000, "nginx": 2000, "floor": 800, "pointsman": 500}
    run = Run("now", {}, "briefly", [measurement(peer, requests=n) for peer, n in figures.items()])

    throughput, cpu = rows(render(run), "pointsman")

    assert throughput == ["500", "-", "0.125", "0.250", "0.625", "1.50", "4.25", "0", "50%", "90%"]
    assert cpu == ["1,000.0", "-", "4.000", "1.600"]
    assert len(rows(render(run), "direct")) == 1
    assert run.is_whole


def test_paced_streams_are_charged_per_event() -> None:
    """Events that the upstream sent count, those of streams still open at the end included."""
    paced = measurement("nginx", requests=10, scenario="paced", connections=256, upstream_events=1000)
    report = render(Run("now", {}, "briefly", [paced]))

    assert rows(report, "nginx")[1] == ["500.0", "-", "1.000"]
    assert "CPU µs/event" in report


@pytest.mark.parametrize("faulty", [{"requests": 500, "errors": 1}, {"requests": 0}], ids=["errors", "no answers"])
def test_invalid_round_marks_the_row_and_takes_its_ratios_away(faulty: dict[str, int]) -> None:
    """A row with a failed request, or without answers, in any round is marked; nothing is compared with it."""
    measured = [measurement("nginx", requests=1000), measurement("pointsman", requests=500)]
    measured.append(measurement("nginx", round_number=2, **faulty))
    run = Run("now", {}, "briefly", measured)
    report = render(run)

    assert "nginx **(invalid)**" in report
    assert rows(report, "nginx")[0][2:3] == ["-"]
    assert rows(report, "pointsman")[0][2:3] == ["-"]
    assert not run.is_whole


def test_noise_and_skipped_peers_are_named() -> None:
    """A measurement that others disturbed is named with their share, a peer that was left out with the reason."""
    noisy = measurement("nginx", requests=1000, foreign_cpu_s=0.25, stolen_s=0.01, tries=3)
    run = Run("now", {}, "briefly", [noisy], {"pointsman": "no 200 from GET /readyz"})
    report = render(run)

    assert "1 of 1 measurements were noisy" in report
    assert "nginx, plain, 64 connections, round 1 (others 25%, hypervisor 1%, the calmest of 3 tries)" in report
    assert "**skipped**: pointsman: no 200 from GET /readyz" in report
    assert not run.is_whole


def test_rows_come_in_the_order_in_which_they_are_compared() -> None:
    """Rounds in alternating order don't matter: cells are ordered by scenario, connections and peer."""
    found = [("pointsman", "paced", 256), ("nginx", "plain", 64), ("direct", "plain", 64), ("nginx", "plain", 1)]
    cells = collect(measurement(p, requests=1, scenario=s, connections=c) for p, s, c in found)

    assert list(cells) == [
        ("plain", 1, "nginx"),
        ("plain", 64, "direct"),
        ("plain", 64, "nginx"),
        ("paced", 256, "pointsman"),
    ]


def test_every_other_round_goes_backward() -> None:
    """No peer always runs right after the same other one."""
    peers = list(PEERS.values())
    plan = Plan(peers, list(SCENARIOS.values()), [1], 2, Effort(1, 1, 0, 1))

    assert peers == list(plan.peers_in(1))
    assert peers[::-1] == list(plan.peers_in(2))


def test_raw_results_can_be_read_again() -> None:
    """The JSON of a run holds everything that the report is made of."""
    run = Run("now", {"CPU": "some"}, "briefly", [measurement("nginx", requests=7)], {"floor": "why"})
    again = msgspec.json.decode(msgspec.json.encode(run), type=Run)

    assert render(run) == render(again)


def test_connections_are_a_list_of_positive_integers() -> None:
    """Each number counts once, in ascending order."""
    assert counts("64,1,64") == [1, 64]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--peers", "direct,apache"], "'apache' is none of direct, nginx, floor, pointsman."),
        (["--connections", "0"], "'0' is no list of positive integers such as 1,64."),
        (["--scenarios", ""], "'' is none of plain, stream, paced."),
    ],
)
def test_bad_arguments_are_refused_with_what_was_expected(arguments: list[str], complaint: str) -> None:
    """Wrong usage ends with status 2 before anything is started."""
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 2
    assert complaint in result.output


def test_missing_program_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nginx there is no comparison: one line says how to get it, and the status is 2."""
    monkeypatch.setattr("shutil.which", lambda name, path=None: None if name == "nginx" else f"/usr/bin/{name}")
    result = CliRunner().invoke(main, ["--quick"])

    assert result.exit_code == 2
    assert "benchmarks: nginx not found: " in result.output
    assert "apt-get install --yes --no-install-recommends nginx-light" in result.output
