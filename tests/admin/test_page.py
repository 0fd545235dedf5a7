"""The admin pages as a browser without JavaScript uses them: what they show, and what their forms do."""

import re
import time

import pytest

from proxy.config.settings import RouteOptions
from proxy.errors import Failure
from proxy.routing import Action, Cause, Draft, DynamicRoute, DynamicRoutingTable, RouteEndpoint, RouteStrategy
from tests.admin.conftest import AdminClient, StartAdmin, csrf_of, log_in
from tests.admin.reading import HTML, Fields, Page, get, press

SWAP = "/admin/desk/swap"
REVERT = "/admin/desk/revert"
SET = Cause(Action.SET)


def endpoint(provider: str, model_id: str, weight: str = "") -> Fields:
    return [("provider", provider), ("model_id", model_id), ("weight", weight)]


def route_fields(model: str, *endpoints: Fields, strategy: str = "priority") -> Fields:
    return [("model", model), *(field for fields in endpoints for field in fields), ("strategy", strategy)]


async def swap(admin: AdminClient, fields: Fields) -> tuple[int, Page]:
    """Review a route and confirm it, as somebody who fills the form in does."""
    status, page = await press(admin, SWAP, fields, "do=review")
    return (status, page) if status != 200 else await press(admin, SWAP, page.form(SWAP), "do=confirm")


# What they show.


async def test_page_shows_every_route_and_its_source(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Each route stands there with source and endpoints; a shadowed config route stands below its shadow."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "beta-9")]))
    page = await get(admin)

    fast = page.rows["fast"]
    assert "dynamic shadows config priority beta beta-9 well first Config underneath (priority) alpha alpha-1" in fast
    assert "config load_balance alpha alpha-2 well 50 % beta beta-2 well 50 %" in page.rows["spread"]
    assert "Revision 1 Store memory Up 0 s Errors \N{EN DASH} 0.0 requests/s 1 route swapped" in page.text
    assert "Revert" in fast
    assert "Revert" not in page.rows["spread"]


async def test_page_without_a_slash_leads_to_the_page(admin: AdminClient) -> None:
    """`/admin` redirects to `/admin/`, so that the page's links work."""
    async with admin.get("/admin", allow_redirects=False) as response:
        assert response.status == 302
        assert response.headers["Location"] == "/admin/"


@pytest.mark.parametrize(
    ("strategy", "parts"),
    [
        ("priority", ("first", "fallback 1")),
        ("weighted", ("75 %", "25 %")),
        ("sticky", ("75 %", "25 %")),
        ("load_balance", ("50 %", "50 %")),
        ("least_latency", ("if quickest", "if quickest")),
    ],
)
async def test_each_endpoint_tells_its_part(
    admin: AdminClient, table: DynamicRoutingTable, strategy: str, parts: tuple[str, str]
) -> None:
    """What order and weights come to under a strategy stands beside each endpoint."""
    endpoints = [RouteEndpoint("alpha", "a", 3), RouteEndpoint("beta", "b", 1)]
    table.add_route(DynamicRoute("fast", endpoints, RouteStrategy(strategy)))

    assert f"alpha a well {parts[0]} beta b well {parts[1]}" in (await get(admin)).rows["fast"]


async def test_search_finds_models_whatever_their_case(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """`?q=` leaves the models whose names hold it; without any, the page says so and offers to make one."""
    table.add_route(DynamicRoute("Very FAST", [RouteEndpoint("alpha", "a")]))
    assert set((await get(admin, "/admin/?q=fast")).rows) - {""} == {"Very FAST", "fast"}

    page = await get(admin, "/admin/?q=slow")
    assert "No model's name holds slow ." in page.text
    assert f"{SWAP}?model=slow" in page.links


async def test_many_routes_come_a_page_at_a_time(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """All routes can be paged through in order, each once, and a search is kept on the way."""
    for number in range(120):
        table.add_route(DynamicRoute(f"m{number:03}", [RouteEndpoint("alpha", "a")]))
    seen: list[str] = []
    link: str | None = "/admin/?q=m"
    while link:
        page = await get(admin, link)
        assert "of 120" in page.text
        seen += [model for model in page.rows if model]
        link = next((each for each in page.links if f"after={seen[-1]}" in each), None)
    assert seen == [f"m{number:03}" for number in range(120)]


async def test_a_page_behind_the_last_route_leads_back(admin: AdminClient) -> None:
    """Where routes have gone meanwhile, a page that is now empty says so."""
    page = await get(admin, "/admin/?after=zzz")
    assert "There are no routes behind zzz" in page.text
    assert any(link.startswith("/admin/?q=") for link in page.links)


async def test_providers_show_who_leads_there(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Each provider stands there with what it is asked for, and by which routes."""
    table.add_route(DynamicRoute("mine", [RouteEndpoint("beta", "beta-1")]))
    page = await get(admin, "/admin/desk/providers")

    assert "alpha Drain Speaks openai well alpha-1 fast well alpha-2 spread" in page.text
    assert "beta Drain Speaks anthropic well beta-1 fast mine well beta-2 spread" in page.text


# What they change.


async def test_swap_link_fills_the_form_in(admin: AdminClient) -> None:
    """A route's Swap link shows the form with that route."""
    page = await get(admin)
    [link] = [link for link in page.links if link.endswith("swap?model=spread")]
    form = (await get(admin, link)).form(SWAP)

    expected = route_fields(
        "spread", endpoint("alpha", "alpha-2", "1"), endpoint("beta", "beta-2", "1"), strategy="load_balance"
    )
    assert [field for field in form if field in expected] == expected


async def test_a_reviewed_route_is_put_into_force(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Reviewing shows before and after and changes nothing; confirming that makes a dynamic route, and says so."""
    fields = route_fields("fast", endpoint("", ""), endpoint("beta", "beta-9", "2"), endpoint("", "", "7"))
    status, review = await press(admin, SWAP, fields, "do=review")
    assert status == 200
    assert table.revision == 0
    assert "Now config, priority alpha alpha-1 first leaves beta beta-1 fallback 1 leaves" in review.text
    assert "After dynamic, priority beta beta-9 first new" in review.text

    data = [*review.form(SWAP), ("do", "confirm")]
    async with admin.post(SWAP, data=data, allow_redirects=False) as response:
        assert response.status == 303
        back = response.headers["Location"]
    assert table.list_dynamic_routes() == [DynamicRoute("fast", [RouteEndpoint("beta", "beta-9", 2)])]
    assert "The route is in force. The table is at revision 1" in (await get(admin, back)).text


async def test_only_what_was_reviewed_is_put_into_force(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """A form that was edited after its review, or never reviewed, is shown with its review once more."""
    _, review = await press(admin, SWAP, route_fields("fast", endpoint("beta", "b")), "do=review")
    edited = [(name, "other" if name == "model_id" else value) for name, value in review.form(SWAP)]
    status, page = await press(admin, SWAP, edited, "do=confirm")
    assert status == 409
    assert "edited after its review" in page.text
    assert table.revision == 0

    assert (await press(admin, SWAP, page.form(SWAP), "do=confirm"))[0] == 200
    assert table.list_dynamic_routes()[0].endpoints[0].model_id == "other"


async def test_a_change_meanwhile_is_412_and_can_be_reviewed_again(
    admin: AdminClient, table: DynamicRoutingTable
) -> None:
    """Who confirms on an older revision sees the newer state first, and can then confirm on that."""
    _, review = await press(admin, SWAP, route_fields("fast", endpoint("beta", "mine")), "do=review")
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "theirs")]))

    status, page = await press(admin, SWAP, review.form(SWAP), "do=confirm")
    assert status == 412
    assert "Somebody was faster" in page.text
    assert "beta theirs first leaves" in page.text
    assert table.list_dynamic_routes()[0].endpoints[0].model_id == "theirs"

    assert (await press(admin, SWAP, page.form(SWAP), "do=confirm"))[0] == 200
    assert table.list_dynamic_routes()[0].endpoints[0].model_id == "mine"


async def test_endpoints_are_arranged_by_buttons(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Each row moves up, down or away, and rows are added; what was typed stays, and nothing is changed yet."""
    page = await get(admin, f"{SWAP}?model=fast")
    _, page = await press(admin, SWAP, page.form(SWAP), "do=up-1")
    assert "After dynamic, priority beta beta-1 first changes alpha alpha-1 fallback 1 changes" in page.text
    _, page = await press(admin, SWAP, page.form(SWAP), "do=add")
    _, page = await press(admin, SWAP, page.form(SWAP), "do=down-0")
    _, page = await press(admin, SWAP, page.form(SWAP), "do=remove-0")
    assert [value for name, value in page.form(SWAP) if name == "provider"] == ["beta", ""]
    for button in ("do=up-0", "do=down-9", "do=remove--1", "do=up-", "do=dance"):
        status, page = await press(admin, SWAP, page.form(SWAP), button)
        assert status == 200
        assert [value for name, value in page.form(SWAP) if name == "provider"] == ["beta", ""]
    assert table.revision == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (route_fields("fast"), "no endpoints"),
        (route_fields("", endpoint("alpha", "x")), "`model` is empty"),
        (route_fields("fast", endpoint("", "x")), "Endpoint 1: choose a provider."),
        (route_fields("fast", endpoint("alpha", "x"), endpoint("beta", "")), "Endpoint 2: name the model id"),
        (route_fields("fast", endpoint("alpha", "x", "many")), "Endpoint 1: the weight"),
        (route_fields("fast", endpoint("alpha", "x", "0")), ">= 1"),
        (route_fields("fast", endpoint("gamma", "x")), "no provider `gamma`"),
        (route_fields("fast", endpoint("alpha", "x"), strategy="luck"), "Unknown strategy `luck`"),
        ([], "`model` is empty"),
    ],
)
async def test_refused_form_keeps_what_was_typed(
    admin: AdminClient, table: DynamicRoutingTable, fields: Fields, message: str
) -> None:
    """A route that can't serve is 400, with the reason in the form, the input kept, and nothing changed."""
    status, page = await swap(admin, fields)

    assert status == 400
    assert message in page.text
    assert table.revision == 0
    kept = {value for _, value in page.form(SWAP)}
    assert {value for name, value in fields if name in {"model", "model_id", "weight"}} <= kept


async def test_a_swap_keeps_what_the_form_does_not_show(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """The page shows unusual options, and leaves them, and the contexts of endpoints that stay, as they are."""
    options = RouteOptions((Failure.CONNECT, Failure.TIMEOUT), hedge_after=1.5, sticky_header="X-Session")
    table.add_route(
        DynamicRoute("fast", [RouteEndpoint("alpha", "a", 1, 1000), RouteEndpoint("beta", "b")], options=options)
    )
    page = await get(admin)
    expected = "priority failover_on connect, timeout hedge_after 1.5 s sticky_header X-Session alpha a"
    assert expected in page.rows["fast"]
    assert "failover_on" not in page.rows["spread"]

    fields = route_fields("fast", endpoint("beta", "b"), endpoint("alpha", "a"), endpoint("alpha", "c"))
    assert (await swap(admin, fields))[0] == 200
    [route] = table.list_dynamic_routes()
    assert route.options == options
    assert route.endpoints == [
        RouteEndpoint("beta", "b"),
        RouteEndpoint("alpha", "a", 1, 1000),
        RouteEndpoint("alpha", "c"),
    ]


async def test_the_form_offers_every_strategy(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Each strategy is a choice, and one that can be put into force."""
    page = await get(admin, SWAP)
    for strategy in RouteStrategy:
        assert f" {strategy}" in page.text
        fields = route_fields("m", endpoint("alpha", "a"), endpoint("beta", "b"), strategy=strategy)
        assert (await swap(admin, fields))[0] == 200
        assert table.list_dynamic_routes()[0].strategy is strategy


async def test_form_of_too_many_fields_is_refused(admin: AdminClient) -> None:
    """A form with more fields than the page can make is 400."""
    assert (await press(admin, SWAP, [("model_id", "x")] * 1000))[0] == 400


async def test_a_dynamic_route_is_reverted(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Revert shows what comes back, and its button brings that into force."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "beta-9")]))
    page = await get(admin, f"{REVERT}?model=fast")
    assert "After config, priority alpha alpha-1 first new" in page.text
    assert table.revision == 1

    status, page = await press(admin, REVERT, page.form(REVERT))
    assert status == 200
    assert "The dynamic route is removed. The table is at revision 2" in page.text
    assert "config priority alpha alpha-1" in page.rows["fast"]


async def test_removing_a_route_says_that_nothing_is_underneath(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Without a config route underneath, the sheet says what becomes of requests."""
    table.add_route(DynamicRoute("mine", [RouteEndpoint("beta", "b")]))
    assert "requests for this model get a 404" in (await get(admin, f"{REVERT}?model=mine")).text


async def test_reverting_what_is_gone_says_so(admin: AdminClient) -> None:
    """The sheet of a page that is out of date tells the reason, and so does its button."""
    assert "has no dynamic route" in (await get(admin, f"{REVERT}?model=fast", status=404)).text
    status, page = await press(admin, REVERT, [("model", "fast")])
    assert status == 404
    assert "has no dynamic route" in page.text


async def test_stale_swap_link_offers_a_new_route(admin: AdminClient) -> None:
    """A Swap link whose route is gone shows the form with the name alone."""
    assert ("model", "gone") in (await get(admin, f"{SWAP}?model=gone")).form(SWAP)


# What is out of service, what was, and what is shifting.

DRAIN = "/admin/desk/drain"
RESTORE = "/admin/desk/restore"
HISTORY = "/admin/desk/history"
ROLLBACK = "/admin/desk/rollback"
SHIFT = "/admin/desk/shift"


async def test_a_provider_is_drained_and_restored(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """The sheet tells first where each route would go and which have no other way; then it is done, and undone."""
    table.add_route(DynamicRoute("lone", [RouteEndpoint("alpha", "a")]))
    sheet = await get(admin, f"{DRAIN}?provider=alpha")
    assert "3 routes lead here, 1 of them nowhere else" in sheet.text
    assert "lone no other way: it stays here fast beta:beta-1 spread beta:beta-2" in sheet.text
    assert not table.drains.by_provider

    _, forced = await press(admin, DRAIN, [*sheet.form(DRAIN), ("force", "yes")], "do=review")
    assert "lone nowhere: its requests are refused" in forced.text

    fields = [*sheet.form(DRAIN), ("reason", "on <fire>")]
    fields = [
        (name, "3600" if name == "lifetime" else value) for name, value in fields if (name, value) != ("reason", "")
    ]
    _, page = await press(admin, DRAIN, fields, "do=confirm")
    assert "The provider is drained: requests avoid it." in page.text
    assert "Drained by local 0 s ago , ends in 1 h : \N{LEFT DOUBLE QUOTATION MARK}on <fire>" in page.text
    assert "alpha alpha-1 drained first" in (await get(admin)).rows["fast"]

    sheet = await get(admin, f"{RESTORE}?provider=alpha")
    _, page = await press(admin, RESTORE, sheet.form(RESTORE))
    assert "The provider is back in service." in page.text
    assert not table.drains.by_provider


@pytest.mark.parametrize("path", [f"{DRAIN}?provider=gone", f"{RESTORE}?provider=alpha", DRAIN])
async def test_what_cannot_be_drained_or_restored_says_why(admin: AdminClient, path: str) -> None:
    """A sheet for a provider that isn't there, or isn't drained, tells so."""
    assert "Nothing was changed." in (await get(admin, path, status=404)).text


async def test_the_history_tells_and_leads_back(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Each change stands there with who, why and both sides; one goes back to before it, after a look at what changes."""
    fields = [*route_fields("fast", endpoint("beta", "b")), ("reason", "alpha is <slow>")]
    assert (await swap(admin, fields))[0] == 200
    page = await get(admin, HISTORY)
    assert "Revision 1 set fast Back to before this local, 0 s ago" in page.text
    assert "alpha is <slow>" in page.text
    assert "Before No dynamic route. After dynamic, priority beta b first new" in page.text
    assert "Nothing was changed yet of this route" in (await get(admin, f"{HISTORY}?model=spread")).text

    sheet = await get(admin, f"{ROLLBACK}?to=0")
    assert "Now dynamic, priority beta b first leaves After config, priority alpha alpha-1" in sheet.text
    _, page = await press(admin, ROLLBACK, sheet.form(ROLLBACK))
    assert "The earlier state is in force again." in page.text
    assert "Revision 2 rollback fast" in page.text
    assert table.dynamic_count == 0

    assert "nothing to change" in (await get(admin, f"{ROLLBACK}?to=0")).text
    for to in ("", "x", "99"):
        assert "Nothing was changed." in (await get(admin, f"{ROLLBACK}?to={to}", status=400)).text


@pytest.mark.parametrize(("path", "fields"), [(DRAIN, "provider=alpha"), (ROLLBACK, "to=0"), (REVERT, "model=fast")])
async def test_every_sheet_tells_who_was_faster(
    admin: AdminClient, table: DynamicRoutingTable, path: str, fields: str
) -> None:
    """A sheet confirmed on an older revision is 412, with what was changed since, and can be confirmed again."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "b")]))
    sheet = await get(admin, f"{path}?{fields}")
    table.add_route(DynamicRoute("other", [RouteEndpoint("beta", "b")]))
    status, page = await press(admin, path, sheet.form(path), "do=confirm")
    assert status == 412
    assert "Somebody was faster." in page.text
    assert "Revision 2: somebody, set other" in page.text
    assert table.revision == 2

    assert (await press(admin, path, page.form(path), "do=confirm"))[0] == 200
    assert table.revision == 3


async def test_a_temporary_route_tells_when_it_ends(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """A route that was set for an hour shows how much of it is left."""
    assert (await swap(admin, [*route_fields("fast", endpoint("beta", "b")), ("lifetime", "3600")]))[0] == 200
    assert "ends in 1 h" in (await get(admin)).rows["fast"]
    assert table.next_expiry() is not None


async def test_a_shift_is_begun_paused_and_aborted(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """The sheet's pace makes a shift, whose step and sides stand at the route, with buttons that act at once."""
    assert f"{SWAP}?model=fast&pace=5+25+100/60" in (await get(admin)).links
    status, page = await swap(admin, [*route_fields("fast", endpoint("beta", "b")), ("pace", "5 25 100/60")])
    assert status == 200
    row = page.rows["fast"]
    assert "Shift under way , step 1 of 3, next in 1 min 5 % to the new route beta b well first" in row
    assert "95 % to the old one alpha alpha-1 well first" in row

    _, page = await press(admin, SHIFT, page.form(SHIFT), "do=pause")
    assert "Shift paused , step 1 of 3" in page.rows["fast"]
    form = page.form(SHIFT)
    _, page = await press(admin, SHIFT, form, "do=resume")
    _, page = await press(admin, SHIFT, form, "do=abort")
    assert "The old route is in force again." in page.text
    assert table.dynamic_count == 0
    assert (await press(admin, SHIFT, form, "do=abort"))[0] == 404
    assert (await press(admin, SHIFT, form, "do=hurry"))[0] == 400


async def test_requests_are_empty_at_first(admin: AdminClient) -> None:
    """Before any request, and where none is as wanted, the page says so."""
    assert "No request has come yet." in (await get(admin, "/admin/desk/requests")).text
    assert "None of the latest" in (await get(admin, "/admin/desk/requests?model=fast&failed=yes")).text


async def test_a_viewer_sees_no_buttons_that_change_something(start_admin: StartAdmin) -> None:
    """Who may only look is offered nothing else, and gets no sheet."""
    admin = await start_admin("", eve="viewer")
    await log_in(admin, "token-of-eve")
    page = await get(admin)
    assert "eve (viewer)" in page.text
    assert not [link for link in page.links if "/desk/swap" in link]
    assert "Drain" not in (await get(admin, "/admin/desk/providers")).text
    await get(admin, SWAP, status=403)


async def test_the_first_page_of_very_many_routes_is_quick(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """With 100,000 routes, the page and a search take well below a second even on a busy machine."""
    table.apply(Draft.setting(DynamicRoute(f"m{n}", [RouteEndpoint("alpha", f"id-{n}")]) for n in range(100_000)), SET)
    await get(admin)  # names are sorted once
    for path in ("/admin/", "/admin/?q=9999", f"{SWAP}?model=m5", "/admin/desk/providers", f"{DRAIN}?provider=alpha"):
        took_s = []
        for _ in range(3):
            began = time.perf_counter()
            await get(admin, path)
            took_s.append(time.perf_counter() - began)
        print(f"{path}: {min(took_s) * 1000:.0f} ms")
        assert min(took_s) < 0.8, path


# What nobody else can put there.


async def test_hostile_names_stay_text(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Markup in model names and model ids is shown as it is, wherever it appears, and makes no element."""
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}"
    plain = (await get(admin)).tags
    table.add_route(DynamicRoute(hostile, [RouteEndpoint("alpha", hostile)]))

    page = await get(admin)
    assert hostile in page.text
    links = [link for link in page.links if "%3Cscript" in link]
    pages = [page, await get(admin, "/admin/desk/providers"), *[await get(admin, link) for link in links]]
    pages += [await get(admin, f"/admin/?q={links[0].partition('=')[2]}")]
    status, page = await swap(admin, route_fields(hostile, endpoint(hostile, hostile)))
    assert status == 400
    for each in [*pages, page]:
        assert hostile in each.text or ("model", hostile) in each.form(SWAP)
        assert each.tags.count("script") == plain.count("script") == 1
        assert each.tags.count("img") == plain.count("img")

    form = (await get(admin, next(link for link in links if "revert" in link))).form(REVERT)
    assert (await press(admin, REVERT, form))[0] == 200
    assert table.dynamic_count == 0


async def test_page_says_only_its_own_words(admin: AdminClient) -> None:
    """A link to the page can't put words on it: an unknown message code shows nothing."""
    page = await get(admin, "/admin/?done=Call+this+number")
    assert "Call this number" not in page.text


@pytest.mark.parametrize("path", ["/admin/", SWAP, f"{REVERT}?model=fast", "/admin/desk/providers", "/admin/desk/help"])
async def test_pages_hold_no_inline_script_or_style(admin: AdminClient, table: DynamicRoutingTable, path: str) -> None:
    """The content security policy allows none, and no page needs any."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "b")]))
    async with admin.get(path, headers=HTML) as response:
        html = await response.text()
        policy = response.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! type=\"module\" src=)", html)


# Light and dark.


async def test_a_theme_is_chosen_without_script(admin: AdminClient) -> None:
    """The bar's button goes from the system's theme to dark, to light, and back; a cookie remembers it."""
    seen = []
    for _ in range(4):
        async with admin.get("/admin/desk/providers", headers=HTML) as response:
            html = await response.text()
        seen += re.findall(r'data-theme="(\w+)"', html)
        [theme] = re.findall(r'name="theme" value="(\w+)"', html)
        data = {"theme": theme, "here": "/admin/desk/providers", "csrf": await csrf_of(admin)}
        async with admin.post("/admin/desk/theme", data=data) as response:
            assert response.url.path == "/admin/desk/providers"
    assert seen == ["system", "dark", "light", "system"]


@pytest.mark.parametrize("here", ["https://example.org/", "//example.org/", "/admin/\\x", "/v1/models", ""])
async def test_the_theme_leads_only_back_to_a_page(admin: AdminClient, here: str) -> None:
    """A form that was made up can't send anybody elsewhere, and can't set anything but a theme."""
    data = {"theme": "dark; HttpOnly", "here": here, "csrf": await csrf_of(admin)}
    async with admin.post("/admin/desk/theme", data=data, allow_redirects=False) as response:
        assert response.headers["Location"] == "/admin/"
        assert "Set-Cookie" not in response.headers
