"""Changing something from the command line: looked at first, asked about where that matters, and made once."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner

from proxy.cli import main
from proxy.routing import DynamicRoute, DynamicRoutingTable, RouteEndpoint, RouteStrategy
from tests.admin.conftest import admin_plane
from tests.cli.conftest import TOKEN, Run, serving
from tests.cli.screen import Screen

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def set_by_another(table: DynamicRoutingTable, model: str, provider: str, model_id: str) -> None:
    """Somebody else is faster."""
    table.add_route(DynamicRoute(model, [RouteEndpoint(provider, model_id)]))


def test_dry_run_shows_before_after_and_warnings(run: Run, table: DynamicRoutingTable) -> None:
    """`--dry-run` tells what would change and what speaks against it, and changes nothing."""
    result = run("routes", "swap", "fast", "beta:b", "--for", "2h", "--dry-run")

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[:2] == ["fast", "  before  alpha:alpha-1, ahead of beta:beta-1"]
    assert lines[2].startswith("  after   beta:b; until 2")
    assert any("stands and falls with `beta:b`" in line for line in lines)
    assert lines[-1] == "Nothing was changed: this was a dry run."
    assert table.revision == 0
    assert json.loads(run("routes", "swap", "fast", "beta:b", "--dry-run", "--json").stdout)["dry_run"] is True


def test_a_swap_says_where_it_goes_and_for_how_long(run: Run, table: DynamicRoutingTable) -> None:
    """Without a terminal a swap is made at once; warnings go to stderr, so that stdout is the result alone."""
    arguments = ("routes", "swap", "fast", "beta:b", "alpha:a", "--strategy", "weighted", "--weights", "3,1")
    result = run(*arguments, "--for", "90m", "--reason", "alpha is slow")

    assert result.exit_code == 0
    assert result.stdout.startswith("fast goes to beta:b (weight 3) and alpha:a, by weight; until 2")
    assert "Warning: " in result.stderr
    [route] = table.list_dynamic_routes()
    assert (route.strategy, [each.weight for each in route.endpoints]) == (RouteStrategy.WEIGHTED, [3, 1])
    assert route.expiry is not None
    [change] = json.loads(run("history", "fast", "--json").stdout)["changes"]
    assert change["reason"] == "alpha is slow"


def test_swap_takes_no_name_that_is_spelt_wrong(run: Run, table: DynamicRoutingTable) -> None:
    """Only what has a route can be swapped; `set` makes new ones."""
    unknown, direct = run("routes", "swap", "fats", "beta:b"), run("routes", "swap", "alpha:x", "beta:b")

    assert (unknown.exit_code, direct.exit_code) == (1, 1)
    assert "Did you mean `fast`?" in unknown.stderr
    assert "`pointsman routes set` makes one" in direct.stderr
    assert table.revision == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--for", "2"),
        ("--for", "h"),
        ("--for", "2h, 3m"),
        ("--weights", "1,2"),
        ("--weights", "inf"),
        ("--weights", "x"),
        ("--every", "5s"),
        ("--shift", "5;10"),
    ],
)
def test_bad_values_are_bad_usage(run: Run, option: str, value: str) -> None:
    """A time without a unit, or weights that don't fit, are refused with status 2 in one line."""
    result = run("routes", "swap", "fast", "beta:b", option, value)
    assert result.exit_code == 2
    assert option in result.stderr


def test_what_leaves_requests_nowhere_takes_a_yes(run: Run, table: DynamicRoutingTable) -> None:
    """Without a terminal, a change by which requests would be refused or have nowhere else to go needs `--yes`."""
    set_by_another(table, "only", "alpha", "a")
    revision = table.revision
    for arguments in [("drain", "alpha", "--force"), ("drain", "alpha"), ("routes", "remove", "only")]:
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert "only" in refused.stderr
        assert "Nothing was changed: --yes makes the change all the same." in refused.stderr
        assert table.revision == revision

    drained = run("drain", "alpha", "--yes", "--reason", "it is down")
    assert drained.exit_code == 0
    assert "Provider alpha is drained: 3 models avoid it, 1 of them without another way" in drained.stdout
    assert "only" in drained.stderr
    assert run("routes", "remove", "only", "--yes").exit_code == 0


def test_a_drain_tells_where_each_model_goes(run: Run, table: DynamicRoutingTable) -> None:
    """What a drain would do, its doing, how the provider is, and the way back."""
    foreseen = run("drain", "alpha", "--dry-run").stdout.splitlines()
    assert {"  fast: beta:beta-1", "  spread: beta:beta-2"} <= set(foreseen)

    assert run("drain", "alpha", "--for", "1h", "--reason", "rate limits").exit_code == 0
    providers = run("providers").stdout.splitlines()
    assert "drained by admin, since" in providers[1]
    assert ": rate limits" in providers[1]
    assert providers[2].startswith("beta\tanthropic\tin service")
    assert json.loads(run("providers", "--json").stdout)["providers"][0]["drain"]["reason"] == "rate limits"

    assert "Provider alpha is back in service (revision 2)" in run("restore", "alpha").stdout
    again = run("restore", "alpha")
    assert (again.exit_code, table.revision) == (1, 2)
    assert "not drained" in again.stderr


def test_history_and_both_ways_back(run: Run, table: DynamicRoutingTable) -> None:
    """One route's last change is undone, or everything since a revision; the history has all of it."""
    for model_id in ("one", "two"):
        run("routes", "set", "fast", f"beta:{model_id}", "--reason", model_id)
    undone = run("routes", "rollback", "fast")
    assert undone.stdout.splitlines() == ["fast goes to beta:one", "Revision: 3"]
    back = run("rollback", "--to", "0", "--reason", "start over")
    assert back.stdout.splitlines() == ["Routes and drains are as they were at revision 0 (revision 4)."]
    assert table.list_dynamic_routes() == []
    so_already = run("rollback", "--to", "0")
    assert so_already.stdout.splitlines() == ["Nothing to change: it is so already (revision 4)."]

    rows = [line.split("\t") for line in run("history").stdout.splitlines()]
    assert rows[0] == ["revision", "when", "who", "what", "why"]
    assert [row[0] for row in rows[1:]] == ["4", "3", "2", "1"]
    assert rows[1][2:] == ["admin", "rollback: fast → no dynamic route", "start over"]
    assert run("routes", "history", "fast").stdout == run("history", "fast").stdout
    assert len(run("history", "--limit", "1", "--before", "3").stdout.splitlines()) == 2
    never = run("rollback", "--to", "99")
    assert (never.exit_code, "no revision 99" in never.stderr) == (1, True)


def test_several_changes_as_one(run: Run, table: DynamicRoutingTable, tmp_path: Path) -> None:
    """`routes apply` takes the API's batch from a file, in YAML or JSON; what is no batch is bad usage."""
    table.add_route(DynamicRoute("spread", [RouteEndpoint("beta", "b")]))
    file = tmp_path / "routes.yaml"
    file.write_text("set: [{model: fast, endpoints: [{provider: beta, model_id: x}], ping_s: 2}]\nremove: [spread]\n")
    result = run("routes", "apply", str(file))

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "fast goes to beta:x; ping_s: 2 s",
        "spread goes to alpha:alpha-2 and beta:beta-2, in turn",
        "Revision: 2",
    ]
    for bad in ("set: [{model: 1}]", "nonsense: 1", ": ["):
        file.write_text(bad)
        assert run("routes", "apply", str(file)).exit_code == 2
    assert table.revision == 2


def test_show_tells_all_of_a_route(run: Run, table: DynamicRoutingTable) -> None:
    """`routes show` has the route, why, its endpoints, and its latest changes."""
    run("routes", "set", "fast", "beta:b", "--reason", "a try")
    run("drain", "alpha")
    lines = run("routes", "show", "fast").stdout.splitlines()

    assert lines[0] == "fast goes to beta:b"
    assert "Without it: alpha:alpha-1, ahead of beta:beta-1" in lines
    assert "beta:b\t1\t\tnot asked yet\t0" in lines
    assert any(line.startswith("Changed: set by admin at ") and line.endswith("(revision 1): a try") for line in lines)
    assert "alpha:alpha-2\t1\t\tdrained\t0" in run("routes", "show", "spread").stdout.splitlines()
    shown = json.loads(run("routes", "show", "fast", "--json").stdout)
    assert (shown["route"]["model"], shown["changes"][0]["reason"]) == ("fast", "a try")


def test_who_was_faster_is_told(run: Run, table: DynamicRoutingTable) -> None:
    """A change for another revision than the one in force is refused, with who changed what, and why."""
    run("routes", "set", "fast", "beta:theirs", "--reason", "alpha fell over")
    result = run("routes", "set", "fast", "beta:mine", "--if-revision", "0")

    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == "Error: The change was made for revision 0, but revision 1 is in force."
    assert lines[1].startswith("Somebody was faster: set by admin at 2")
    assert lines[1].endswith("(revision 1): alpha fell over.")
    assert lines[2] == "fast goes to beta:theirs now."
    assert table.revision == 1
    assert run("routes", "set", "fast", "beta:mine", "--if-revision", "1", "--yes").exit_code == 0


def test_a_preflight_that_is_required_stops_the_change(run: Run, table: DynamicRoutingTable) -> None:
    """Endpoints that can't be reached: `--require-preflight` changes nothing, `--preflight` tells and changes."""
    refused = run("routes", "swap", "fast", "beta:b", "--require-preflight")
    assert refused.exit_code == 1
    assert "nothing has changed" in refused.stderr
    assert "beta:b: no answer" in refused.stderr
    assert table.revision == 0

    made = run("routes", "swap", "fast", "beta:b", "--preflight")
    assert made.exit_code == 0
    assert "Preflight: beta:b: no answer" in made.stderr
    assert run("routes", "swap", "fast", "beta:b", "--require-preflight", "--dry-run").exit_code == 1


def test_an_answer_that_is_lost_is_no_second_change(table: DynamicRoutingTable, run: Run) -> None:
    """The command asks again under the same key, and the change is made once."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "one")]))
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "two")]))
    lost = 0

    @web.middleware
    async def lose_the_first(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal lost
        response = await handler(request)
        if request.path.endswith("/rollback") and "dry_run" not in request.query and lost < 2:
            lost += 1
            assert request.transport is not None
            request.transport.abort()
        return response

    root = web.Application(middlewares=[lose_the_first])
    root.add_subapp("/admin", admin_plane(table, TOKEN))
    with serving(root) as url:
        result = CliRunner().invoke(main, ["routes", "rollback", "fast", "--url", url, "--token", TOKEN])

    assert (result.exit_code, result.stdout.splitlines()[0], lost) == (0, "fast goes to beta:one", 2)
    assert table.revision == 3


def test_a_person_sees_the_change_and_confirms_it(admin_url: str, table: DynamicRoutingTable) -> None:
    """At a terminal nothing is changed before a yes, and a no is no error message of many lines."""
    set_by_another(table, "fast", "alpha", "\x1b[2J")
    arguments = ("routes", "swap", "fast", "beta:b", "--reason", "alpha is down", "--url", admin_url, "--token", TOKEN)
    with Screen(*arguments) as screen:
        asked = screen.until("Make this change? [y/N]")
        assert "  before  alpha:\\x1b[2J" in asked
        assert "  after   beta:b" in asked
        assert "Warning: `fast` has no fallback" in asked
        assert table.revision == 1
        screen.type("n")
        assert "Nothing was changed." in screen.rest()
        assert (screen.status, table.revision) == (1, 1)

    with Screen(*arguments) as screen:
        screen.until("Make this change? [y/N]")
        screen.type("y")
        assert "fast goes to beta:b (revision 2)." in screen.rest()
        assert (screen.status, table.revision) == (0, 2)


def test_what_a_person_confirmed_is_what_is_made(admin_url: str, table: DynamicRoutingTable) -> None:
    """If somebody else changes the route while the question stands, it is asked anew; another route doesn't matter."""
    with Screen("drain", "alpha", "--url", admin_url, "--token", TOKEN) as screen:
        screen.until("Make this change? [y/N]")
        set_by_another(table, "new", "alpha", "a")
        screen.type("y")
        asked = screen.until("Make this change? [y/N]")
        assert "Somebody changed something meanwhile." in asked
        assert "new: alpha:a  (no other way)" in asked
        assert table.drains.by_provider == {}
        screen.type("y")
        assert "Provider alpha is drained" in screen.rest()

    with Screen("routes", "swap", "fast", "beta:b", "--for", "1h", "--url", admin_url, "--token", TOKEN) as screen:
        screen.until("Make this change? [y/N]")
        set_by_another(table, "elsewhere", "beta", "b")
        screen.type("y")
        shown = screen.rest()
        assert "(revision 4)." in shown
        assert "Make this change?" not in shown
