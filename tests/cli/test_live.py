"""The commands that show what goes on at a running proxy."""

import json

import pytest

from tests.cli.conftest import Whole, invoke
from tests.cli.screen import Screen


def test_status_says_in_words_how_it_is(whole: Whole) -> None:
    """What isn't as usual comes first, in words; `--json` is the API's answer."""
    whole.ask()
    assert invoke("status").stdout.startswith("No route is swapped, no provider drained")
    invoke("drain", "first")
    lines = invoke("status").stdout.splitlines()

    assert lines[0] == "1 provider drained."
    assert lines[1].startswith("Revision 1, version ")
    assert "Drained: first" in lines
    status = json.loads(invoke("status", "--json").stdout)
    assert (status["revision"], status["drained"], status["error_share"]) == (1, ["first"], 0.0)


def test_requests_say_why_they_went_where_they_went(whole: Whole) -> None:
    """The latest requests, filtered; a model's name acts on nobody's terminal."""
    whole.ask()
    whole.break_first()
    whole.ask()
    whole.ask("\u202eevil")

    rows = [line.split("\t") for line in invoke("requests").stdout.splitlines()[1:]]
    assert [row[1] for row in rows] == ["\\u202eevil", "m", "m"]
    assert rows[1][2] == "first:straw-small → second:straw-small"
    assert "The client got the answer of second:straw-small" in rows[1][6]
    assert len(invoke("requests", "--status", "4xx").stdout.splitlines()) == 2
    assert len(invoke("requests", "--model", "m", "--provider", "first", "--limit", "1").stdout.splitlines()) == 2
    failed = json.loads(invoke("requests", "--failed", "--json").stdout)["requests"]
    assert [each["status"] for each in failed] == [404]
    assert invoke("requests", "--status", "many").exit_code == 1


def test_an_encoding_that_lacks_a_character_shows_it_escaped(whole: Whole) -> None:
    """On a terminal that knows ASCII alone, names and arrows are shown, not a traceback."""
    invoke("routes", "set", "größe", "second:b")
    with Screen("history", PYTHONIOENCODING="ascii") as screen:
        assert "set: gr\\xf6\\xdfe \\u2192 second:b" in screen.rest()
        assert screen.status == 0


def test_bytes_that_are_no_text_are_bad_usage(whole: Whole) -> None:
    """Bytes that the terminal's encoding doesn't know end the command with a line, not a traceback."""
    result = invoke("routes", "show", "gr\udcf6\udcdfe")
    assert result.exit_code == 2
    assert "is no text in the encoding of this terminal" in result.stderr


def test_preflight_tells_who_is_well(whole: Whole) -> None:
    """Each endpoint has a line; the exit status is 1 unless all are well."""
    assert invoke("preflight", "first:straw-small", "second:straw-small", "--streaming").exit_code == 0
    whole.break_first()
    result = invoke("preflight", "first:straw-small", "second:straw-small", "--protocol", "openai")
    first, second = result.stdout.splitlines()

    assert result.exit_code == 1
    assert first.startswith("first:straw-small: status 500 after ")
    assert "The straw is on fire" in first
    assert second.startswith("second:straw-small: well after ")
    assert [
        each["ok"] for each in json.loads(invoke("preflight", "first:x", "second:x", "--json").stdout)["endpoints"]
    ] == [
        False,
        True,
    ]
    assert invoke("preflight", "nobody:x").exit_code == 1


def test_a_swap_with_a_preflight_shows_it_before_it_asks(whole: Whole) -> None:
    """At a terminal the preflight's result stands there before the question."""
    with Screen("routes", "swap", "m", "second:straw-small", "--require-preflight") as screen:
        asked = screen.until("Make this change? [y/N]")
        assert "Preflight: second:straw-small: well after" in asked
        screen.type("y")
        screen.rest()
        assert screen.status == 0
    whole.break_first()
    with Screen("routes", "swap", "m", "first:straw-small", "--require-preflight") as screen:
        shown = screen.rest()
        assert (screen.status, "The preflight failed, so nothing was changed." in shown) == (1, True)


def test_events_are_told_as_they_happen(whole: Whole) -> None:
    """Changes with who and why, breakers with their reason, requests and readings if asked for; Ctrl-C is no error."""
    with Screen(
        "events", "--kind", "change", "--kind", "breaker", "--kind", "requests", "--kind", "readings"
    ) as screen:
        screen.until("Listening (revision 0).")
        invoke("routes", "set", "\u202enew", "second:b", "--reason", "a try")
        assert "revision 1, set by admin (a try): \\u202enew: no dynamic route → second:b" in screen.until("second:b")
        whole.break_first()
        whole.ask(times=6)
        screen.until("breaker of first:straw-small closed → open: ")
        screen.until(" m second:straw-small 200 ", " requests/s, ")
        screen.interrupt()
        assert "Traceback" not in screen.rest()
        assert screen.status == 0


def test_events_as_json_are_one_a_line(whole: Whole) -> None:
    """A program gets each event as the API tells it."""
    with Screen("events", "--json") as screen:
        screen.until('"hello"')
        invoke("drain", "first", "--reason", "down")
        screen.until("drained", "\n")
        screen.interrupt()
        screen.rest()
    events = [json.loads(line) for line in screen.shown.splitlines() if line.startswith("{")]
    assert [each["event"] for each in events] == ["hello", "change"]
    assert events[1]["data"]["drains"] == [{"provider": "first", "drained": True}]


def test_a_watch_is_live(whole: Whole) -> None:
    """On a terminal each reading draws anew: words, revision, drains with their reason, every route and endpoint."""
    with Screen("status", "--watch") as screen:
        screen.until("revision 0", "No route is swapped")
        whole.break_first()
        whole.ask(times=6)
        screen.until("1 endpoint out of service.", "first:straw-small", "open", "requests/s")
        invoke("drain", "first", "--reason", "on fire", "--yes")
        screen.until("revision 1", "1 provider drained", "first: drained by admin, since", "on fire")
        screen.interrupt()
        assert "Traceback" not in screen.rest()
        assert screen.status == 0


def test_a_watch_says_when_it_is_stale_and_comes_back(whole: Whole) -> None:
    """While the proxy is away what is shown is marked as old; a new process at the address is found again."""
    with Screen("status", "--watch") as screen:
        screen.until("requests/s")
        whole.stop()
        screen.until("STALE: no news for")
        with Whole(whole.port):
            invoke("routes", "set", "other", "second:b")
            screen.until("1 route swapped.")
            screen.interrupt()
            screen.rest()
            assert screen.status == 0


def test_a_watch_for_programs(whole: Whole) -> None:
    """`--json` gives one object a second, on a line of its own."""
    with Screen("status", "--watch", "--json") as screen:
        screen.until("}\r\n")
        screen.interrupt()
        screen.rest()
    first = json.loads(screen.shown.splitlines()[0])
    assert first["status"]["revision"] == 0
    assert first["readings"]["total"]["in_flight"] == 0


@pytest.mark.parametrize("command", [("events",), ("status", "--watch")])
def test_streams_that_can_not_begin_are_one_line(whole: Whole, command: tuple[str, ...]) -> None:
    """Nobody there, a wrong token, no URL: status 1 and one line, not a wait without end."""
    for options, words in [
        (("--url", "http://127.0.0.1:1"), "No proxy answers"),
        (("--token", "wrong"), "refused the admin token"),
        (("--url", "nonsense"), "is no URL"),
    ]:
        result = invoke(*command, *options)
        assert result.exit_code == 1
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1
