"""The commands that see and switch the routes of a running proxy."""

import json

import pytest
from aiohttp import web
from click.testing import CliRunner

from proxy.cli import main
from proxy.config.settings import Delivery, HedgeAfter, RouteOptions
from proxy.routing import DynamicRoute, DynamicRoutingTable, RouteEndpoint, RouteStrategy
from tests.cli.conftest import TOKEN, Run, serving
from tests.cli.screen import Screen


def test_list_prints_a_line_for_each_route(run: Run, table: DynamicRoutingTable) -> None:
    """In a pipe, `routes list` prints tab-separated lines under a line of column names."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "beta-9")]))
    result = run("routes", "list")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "model\tsource\tstrategy\tendpoints, in order",
        "fast\tdynamic, shadows config\tpriority\tbeta:beta-9",
        "spread\tconfig\tload_balance\talpha:alpha-2, beta:beta-2",
    ]


def test_unusual_options_are_listed(run: Run, table: DynamicRoutingTable) -> None:
    """Beside the strategy stand the options that are not the usual ones."""
    options = RouteOptions(failover_on=(), delivery=Delivery.WHOLE, hedge_after=HedgeAfter.P95, ping_s=2.0)
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "b")], RouteStrategy.WEIGHTED, options))

    assert (
        "fast\tdynamic, shadows config\t"
        "weighted; failover_on: nothing; delivery: whole; hedge_after: p95; ping_s: 2 s\tbeta:b"
    ) in run("routes", "list").stdout


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("weighted", "by weight"),
        ("least_latency", "where an answer is expected sooner"),
        ("sticky", "the same one for requests that belong together"),
    ],
)
def test_every_strategy_has_its_words(run: Run, strategy: str, words: str) -> None:
    """`routes set` says how the endpoints will be chosen among."""
    assert (
        f"alpha:a and beta:b, {words} ("
        in run("routes", "set", "m", "alpha:a", "beta:b", "--strategy", strategy).stdout
    )


def test_list_as_json_is_the_apis(run: Run) -> None:
    """`routes list --json` prints what the API answers."""
    listed = json.loads(run("routes", "list", "--json").stdout)
    assert listed["revision"] == 0
    assert [route["model"] for route in listed["routes"]] == ["fast", "spread"]
    assert listed["routes"][0]["endpoints"][0] == {"provider": "alpha", "model_id": "alpha-1", "weight": 1}


def test_set_puts_a_route_into_force(run: Run, table: DynamicRoutingTable) -> None:
    """`routes set` makes a route of the endpoints in their order; a model id may hold colons and slashes."""
    result = run("routes", "set", "fast", "beta:org/model:free", "alpha:alpha-9", "--strategy", "load_balance")

    assert result.exit_code == 0
    assert "beta:org/model:free and alpha:alpha-9, in turn" in result.stdout
    assert "revision 1" in result.stdout
    expected = [RouteEndpoint("beta", "org/model:free"), RouteEndpoint("alpha", "alpha-9")]
    assert table.list_dynamic_routes() == [DynamicRoute("fast", expected, RouteStrategy.LOAD_BALANCE)]


@pytest.mark.parametrize("model", ["a/b", "a%2Fb", "..", ".", "ü:ö/😀", "a b?c#d", "[red]x[/red]"])
def test_any_name_is_set_resolved_and_removed(run: Run, table: DynamicRoutingTable, model: str) -> None:
    """A name with any characters reaches the proxy as it is, on all three commands."""
    assert json.loads(run("routes", "set", model, "beta:b", "--json").stdout)["model"] == model
    assert json.loads(run("resolve", model, "--json").stdout)["source"] == "dynamic"
    removed = json.loads(run("routes", "remove", model, "--json", "--yes").stdout)

    assert removed.items() >= {"status": "ok", "model": model, "removed": True, "revision": 2}.items()
    assert table.list_dynamic_routes() == []


def test_refusals_are_one_line_and_status_1(run: Run) -> None:
    """What the proxy refuses is told in its own words, on one line of stderr."""
    for arguments, words in [
        (("routes", "set", "m", "gamma:x"), "no provider `gamma`"),
        (("routes", "set", "m", "beta:x", "--strategy", "luck"), "Unknown strategy `luck`"),
        (("routes", "remove", "fast"), "has no dynamic route"),
        (("resolve", "spreed"), "Did you mean `spread`?"),
    ]:
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_bad_endpoints_are_bad_usage(run: Run) -> None:
    """An endpoint that is no PROVIDER:MODEL_ID is refused with status 2, before anything is asked."""
    for endpoint in ("beta", "beta:", ":x"):
        result = run("routes", "set", "m", endpoint)
        assert result.exit_code == 2
        assert "PROVIDER:MODEL_ID" in result.stderr
    assert run("routes", "set", "m").exit_code == 2


def test_token_is_asked_for_and_never_shown(run: Run) -> None:
    """Without the token or with a wrong one, the error says where to set it; the given one isn't repeated."""
    missing = run("routes", "list", "--token", "")
    wrong = run("routes", "list", "--token", "wrong-token")

    assert missing.exit_code == wrong.exit_code == 1
    assert "wants its admin token: set $POINTSMAN_ADMIN_TOKEN" in missing.stderr
    assert "refused the admin token" in wrong.stderr
    assert "wrong-token" not in wrong.stderr


def test_no_proxy_there_is_said_plainly() -> None:
    """Where nothing listens, the error says what to check."""
    result = CliRunner().invoke(main, ["routes", "list", "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 1
    assert "No proxy answers at http://127.0.0.1:1. Is it running?" in result.stderr


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999"])
def test_bad_url_is_no_traceback(url: str) -> None:
    """A URL that can't be one ends with one line and status 1."""
    result = CliRunner().invoke(main, ["routes", "list", "--url", url])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_another_servers_answers_are_no_traceback() -> None:
    """A server that is no proxy, and one that redirects, are named as what they are; the token isn't sent on."""
    seen: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.path)
        raise web.HTTPFound("/other")

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/admin/routes", elsewhere)
    app.router.add_get("/other", elsewhere)
    app.router.add_get("/web/admin/routes", page)
    with serving(app) as url:
        redirected = CliRunner().invoke(main, ["routes", "list", "--url", url, "--token", TOKEN])
        strange = CliRunner().invoke(main, ["routes", "list", "--url", f"{url}/web"])

    assert (redirected.exit_code, strange.exit_code) == (1, 1)
    assert "HTTP status 302" in redirected.stderr
    assert seen == ["/admin/routes"]
    assert "not a proxy's admin API" in strange.stderr


def test_resolve_says_where_in_which_order_and_why(run: Run, table: DynamicRoutingTable) -> None:
    """`resolve` tells order, source, reason, and what stands below a dynamic route; it takes no turn."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "beta-9")]))

    assert run("resolve", "fast").stdout.splitlines() == [
        "fast goes to beta:beta-9.",
        "Source: dynamic. A dynamic route is in force; it shadows the config route of the same name.",
        "Without it: alpha:alpha-1, ahead of beta:beta-1.",
        "Revision: 1",
    ]
    for _ in range(3):
        assert "spread goes to alpha:alpha-2 and beta:beta-2, in turn" in run("resolve", "spread").stdout
    assert "Source: direct. No route has this name" in run("resolve", "alpha:anything").stdout


def test_names_cannot_act_on_the_terminal(admin_url: str, table: DynamicRoutingTable) -> None:
    """On a terminal, escape sequences, direction marks and markup in names are shown, not obeyed."""
    table.add_route(DynamicRoute("\x1b[2J\u202eevil", [RouteEndpoint("beta", "[bold]b[/bold]\x1b]0;t\x07")]))
    with Screen("routes", "list", "--url", admin_url, "--token", TOKEN) as screen:
        shown = screen.rest()

    assert "\\x1b[2J\\u202eevil" in shown
    assert "[bold]b[/bold]\\x1b]0;t\\x07" in shown
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert "\x07" not in shown
