"""What is asked for on the command line, and in which order it is measured."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import counts, main
from benchmarks.bench import Effort
from benchmarks.campaign import Plan
from benchmarks.parts import PARTS
from benchmarks.peers import PEERS, pointsman


def a_plan(rounds: int = 2) -> Plan:
    """Everything, of everybody."""
    return Plan(list(PARTS.values()), list(PEERS.values()), rounds, Effort(1, 1))


def test_every_other_round_goes_backward() -> None:
    """No peer always runs right after the same other one."""
    peers = list(PEERS.values())
    plan = a_plan()

    assert peers == list(plan.peers_in(PARTS["throughput"], 1))
    assert peers[::-1] == list(plan.peers_in(PARTS["throughput"], 2))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("memory", ["nginx", "floor", "pointsman", "interpreted"]),
        ("swaps", ["pointsman", "interpreted"]),
        ("tls", ["direct", "nginx", "floor", "pointsman", "interpreted"]),
    ],
)
def test_parts_take_the_peers_that_they_make_sense_for(part: str, expected: list[str]) -> None:
    """Nothing runs in a direct connection; only Pointsman has routes to swap."""
    assert [peer.name for peer in a_plan().peers_in(PARTS[part], 1)] == expected


def test_another_checkout_is_a_reference_as_well() -> None:
    """Before and after are compared; this checkout is not compared with itself."""
    before = pointsman("before", Path("/somewhere/else"))
    plan = Plan([], [*PEERS.values(), before], 1, Effort(1, 1))

    assert plan.references() == ("direct", "nginx", "floor", "before")


def test_part_for_which_once_is_enough_is_done_once() -> None:
    """A flame graph is drawn once, the rest in every round."""
    assert list(a_plan(3).rounds_of(PARTS["flame"])) == [1]
    assert list(a_plan(3).rounds_of(PARTS["memory"])) == [1, 2, 3]


def test_connections_are_a_list_of_positive_integers() -> None:
    """Each number counts once, in ascending order."""
    assert counts("64,1,64") == [1, 64]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--peers", "direct,apache"], "'apache' is none of direct, nginx, floor, pointsman, interpreted."),
        (["--connections", "0"], "'0' is no list of positive integers such as 1,64."),
        (["--parts", ""], "'' is none of throughput, open-loop, capacity,"),
        (["--peer", "mine=nowhere"], "'mine=nowhere' is not NAME=URL,start=COMMAND"),
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
