"""The commands that begin, steer and show a shift, and the comparison with a shadow."""

import json
from pathlib import Path

from tests.cli.conftest import Whole, invoke


def test_a_shift_is_begun_and_steered(whole: Whole) -> None:
    """`--shift` lets a route take over bit by bit; pause, resume and abort say how far it is."""
    begun = invoke("routes", "swap", "m", "second:b", "--shift", "25,100", "--every", "1h", "--reason", "cheaper")
    assert begun.exit_code == 0
    assert begun.stdout.startswith(
        "m goes to 25 % second:b; the rest first:straw-small, ahead of second:straw-small (steps 25, 100: every 1 h, next at 2"
    )
    assert "(steps 25, 100: paused)" in invoke("shift", "pause", "m").stdout
    assert invoke("shift", "pause", "m").exit_code == 1
    assert "every 1 h" in invoke("shift", "resume", "m", "--reason", "go on").stdout
    assert "m\tdynamic, shadows config\tpriority, 25 % shifted\t" in invoke("routes", "list").stdout
    assert "25 % second:b" in invoke("routes", "show", "m").stdout.splitlines()[0]
    assert invoke("routes", "swap", "m", "second:c", "--shift", "50,100").exit_code == 1
    aborted = invoke("shift", "abort", "m")
    assert aborted.stdout.startswith("m goes to first:straw-small, ahead of second:straw-small (revision 4).")

    refused = invoke("shift", "abort", "m")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (1, 1)
    changes = json.loads(invoke("history", "m", "--json").stdout)["changes"]
    assert [each["action"] for each in changes] == ["shift", "shift", "shift", "set"]


def test_steps_that_are_none_are_refused(whole: Whole) -> None:
    """The proxy says what steps are."""
    result = invoke("routes", "swap", "m", "second:b", "--shift", "50,25")
    assert (result.exit_code, "each more than the one before" in result.stderr) == (1, True)


def test_a_shadow_is_compared(whole: Whole, tmp_path: Path) -> None:
    """`shadow` shows both sides; without one it says so."""
    assert invoke("shadow", "m").exit_code == 1
    file = tmp_path / "shadow.yaml"
    file.write_text(
        "set: [{model: m, endpoints: [{provider: first, model_id: a}], "
        "shadow: {provider: second, model_id: b, share: 1.0}}]"
    )
    assert invoke("routes", "apply", str(file)).exit_code == 0
    whole.ask(times=3)

    lines = invoke("shadow", "m").stdout.splitlines()
    assert lines[0].startswith("second:b gets 100.0 % of the requests for m as well: 3 mirrored")
    assert [line.split("\t")[0] for line in lines[1:]] == ["side", "route", "shadow"]
    assert json.loads(invoke("shadow", "m", "--json").stdout)["mirrored"] == 3
