"""Changes by the admin API: revisions, history, the way back, dry runs, expiry and keys, over real sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from proxy.admin import build_admin
from proxy.admin.api import idempotency
from proxy.admin.changes import follower
from proxy.config import Admin, Current, Settings
from proxy.config.settings import Endpoint, EndpointOverrides, Model
from proxy.routing import Action, Change, ConfigRoutingTable, DynamicRoute, DynamicRoutingTable, RouteEndpoint
from proxy.upstream import Preflight, Upstream
from tests.admin.conftest import MODELS, PROVIDERS, AdminClient, no_metrics, nothing_to_reload

ALPHA, BETA = {"provider": "alpha", "model_id": "alpha-1"}, {"provider": "beta", "model_id": "beta-1"}
Json = dict[str, Any]


def build_plane(table: DynamicRoutingTable, settings: Settings) -> web.Application:
    preflight = Preflight(Upstream(PROVIDERS))
    return build_admin(table, Current(settings), nothing_to_reload, no_metrics, preflight)


async def call(
    admin: AdminClient, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Json]:
    async with admin.request(method, f"/admin{path}", json=body, headers=headers) as response:
        return response.status, await response.json()


async def set_route(admin: AdminClient, endpoint: Json, **more: object) -> Json:
    status, answer = await call(admin, "POST", "/routes", {"model": "fast", "endpoints": [endpoint], **more})
    assert status == 200, answer
    return answer


async def serving(admin: AdminClient, model: str = "fast") -> str:
    """The first endpoint's model id of the route in force."""
    _, answer = await call(admin, "GET", f"/resolve?model={model}")
    return str(answer["endpoints"][0]["model_id"])


async def history(admin: AdminClient, query: str = "") -> Json:
    status, answer = await call(admin, "GET", f"/history{query}")
    assert status == 200
    return answer


async def test_history_tells_who_changed_what_when_and_why(admin: AdminClient) -> None:
    """Each change stands there with its revision, newest first, with what was before and after."""
    await set_route(admin, BETA, reason="alpha is\n down")
    await call(admin, "DELETE", "/routes/fast?reason=alpha%20is%20back")

    listed = await history(admin)
    assert (listed["revision"], listed["oldest_revision"], listed["next"]) == (2, 0, None)
    removed, swapped = listed["changes"]
    assert (removed["revision"], removed["action"], removed["reason"]) == (2, "remove", "alpha is back")
    assert (swapped["revision"], swapped["action"], swapped["actor"]) == (1, "set", "local")
    assert swapped["reason"] == "alpha is down"
    assert abs((datetime.fromisoformat(swapped["at"]) - datetime.now(UTC)).total_seconds()) < 60
    after = {"strategy": "priority", "endpoints": [{**BETA, "weight": 1}]}
    assert swapped["routes"] == [{"model": "fast", "before": None, "after": after}]
    assert removed["routes"] == [{"model": "fast", "before": after, "after": None}]


async def test_history_comes_in_pages_and_by_model(admin: AdminClient) -> None:
    """`next` leads to the following page, `model` to the changes of one route."""
    for number in range(5):
        await set_route(admin, {**BETA, "model_id": f"beta-{number}"})
    await call(admin, "POST", "/routes", {"model": "other", "endpoints": [BETA]})

    first = await history(admin, "?limit=4")
    second = await history(admin, f"?limit=4&before={first['next']}")
    assert [each["revision"] for each in first["changes"]] == [6, 5, 4, 3]
    assert [each["revision"] for each in second["changes"]] == [2, 1]
    assert second["next"] is None
    assert [each["revision"] for each in (await history(admin, "?model=other"))["changes"]] == [6]


async def test_a_page_of_very_large_changes_is_shorter(admin: AdminClient) -> None:
    """So many routes on a page, but one change at least, whole."""
    for prefix in ("a", "b", "c"):
        routes = [{"model": f"{prefix}{number}", "endpoints": [BETA]} for number in range(600)]
        assert (await call(admin, "POST", "/routes:batch", {"set": routes}))[0] == 200

    pages = [await history(admin), await history(admin, "?before=3"), await history(admin, "?before=2")]
    assert [[each["revision"] for each in page["changes"]] for page in pages] == [[3], [2], [1]]
    assert [page["next"] for page in pages] == [3, 2, None]


@pytest.mark.parametrize("query", ["?limit=0", "?limit=x", "?limit=201", "?before=-1", "?before=", "?limit=²"])
async def test_wrong_pages_are_refused(admin: AdminClient, query: str) -> None:
    """What is no number in its range is a 400 that names it."""
    status, answer = await call(admin, "GET", f"/history{query}")

    assert status == 400
    assert answer["error"]["message"].startswith(query[1:].partition("=")[0])


async def test_rollback_is_a_new_revision_with_the_old_state(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Routes that came, went and changed since are as they were, in one revision."""
    await set_route(admin, BETA)
    await call(admin, "POST", "/routes", {"model": "gone", "endpoints": [ALPHA]})
    state = table.list_dynamic_routes()
    await set_route(admin, {**BETA, "model_id": "beta-2"})
    await call(admin, "DELETE", "/routes/gone")
    await call(admin, "POST", "/routes", {"model": "new", "endpoints": [ALPHA]})

    status, answer = await call(admin, "POST", "/rollback", {"to_revision": 2, "reason": "that was wrong"})

    assert (status, answer["revision"]) == (200, 6)
    assert sorted(each["model"] for each in answer["routes"]) == ["fast", "gone", "new"]
    assert table.list_dynamic_routes() == state
    assert (await history(admin, "?limit=1"))["changes"][0]["action"] == "rollback"
    status, answer = await call(admin, "POST", "/rollback", {"to_revision": 0})
    assert (status, answer["revision"], table.list_dynamic_routes()) == (200, 7, [])


async def test_rollback_to_what_is_in_force_changes_nothing(admin: AdminClient) -> None:
    """It is answered without a new revision."""
    await set_route(admin, BETA)
    status, answer = await call(admin, "POST", "/rollback", {"to_revision": 1})

    assert (status, answer["revision"], answer["routes"]) == (200, 1, [])


async def test_rollback_of_a_route_undoes_its_last_change_alone(admin: AdminClient) -> None:
    """Other routes stay; twice is back again."""
    await set_route(admin, BETA)
    await set_route(admin, {**BETA, "model_id": "beta-2"})
    await call(admin, "POST", "/routes", {"model": "a/b", "endpoints": [ALPHA]})

    status, answer = await call(admin, "POST", "/routes/fast/rollback", {"reason": "no"})
    assert (status, answer["revision"], await serving(admin)) == (200, 4, "beta-1")
    await call(admin, "POST", "/routes/fast/rollback")
    assert await serving(admin) == "beta-2"
    async with admin.post("/admin/routes/a%2Fb/rollback") as response:
        assert response.status == 200
    status, _ = await call(admin, "GET", "/resolve?model=a/b")
    assert status == 404


async def test_there_is_no_way_back_to_what_is_not_remembered(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """A revision that never was is 400; one that is too long ago, or a route that never changed, 409."""
    assert (await call(admin, "POST", "/rollback", {"to_revision": 1}))[0] == 400
    assert (await call(admin, "POST", "/routes/fast/rollback"))[0] == 409
    for number in range(1001):
        table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", f"beta-{number}")]))

    status, answer = await call(admin, "POST", "/rollback", {"to_revision": 0})
    assert status == 409
    assert "revision 1 are remembered" in answer["error"]["message"]
    assert (await call(admin, "POST", "/rollback", {"to_revision": 1}))[0] == 200
    assert await serving(admin) == "beta-0"


async def test_there_is_no_way_back_to_a_provider_that_is_gone(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """The answer names the route and the provider, and nothing changes."""
    await set_route(admin, BETA)
    await set_route(admin, ALPHA)
    table.replace_inner(ConfigRoutingTable({"alpha": PROVIDERS["alpha"]}, {}))

    status, answer = await call(admin, "POST", "/rollback", {"to_revision": 1})
    assert status == 400
    assert "`fast`" in answer["error"]["message"]
    assert "`beta`" in answer["error"]["message"]
    assert table.revision == 3


async def test_changes_by_a_program_can_be_rolled_back_as_well(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """What was changed by way of the table itself stands in the history, by nobody."""
    table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "b")]))
    assert table.remove_route("fast")

    assert [each["actor"] for each in (await history(admin))["changes"]] == ["", ""]
    assert (await call(admin, "POST", "/rollback", {"to_revision": 1}))[0] == 200
    assert await serving(admin) == "b"


@pytest.mark.parametrize("value", ['"1"', "1", 'W/"1"'])
async def test_who_comes_too_late_is_told_what_is_in_force(admin: AdminClient, value: str) -> None:
    """`If-Match` of an old revision is a 412 with the state, and who made it; the one in force and `*` pass."""
    await set_route(admin, BETA)
    await set_route(admin, ALPHA, reason="I was faster")
    body = {"model": "fast", "endpoints": [BETA]}

    status, answer = await call(admin, "POST", "/routes", body, {"If-Match": value})

    assert status == 412
    assert answer["revision"] == 2
    assert answer["last_change"].items() >= {"revision": 2, "actor": "local", "reason": "I was faster"}.items()
    assert answer["route"]["endpoints"] == [{**ALPHA, "weight": 1}]
    assert "revision 2 is in force" in answer["error"]["message"]
    assert await serving(admin) == "alpha-1"
    assert (await call(admin, "POST", "/routes", body, {"If-Match": '"2"'}))[0] == 200
    assert (await call(admin, "DELETE", "/routes/fast", headers={"If-Match": '"2"'}))[0] == 412
    assert (await call(admin, "DELETE", "/routes/fast", headers={"If-Match": "*"}))[0] == 200
    assert (await call(admin, "POST", "/routes", body, {"If-Match": '"abc"'}))[0] == 400


async def test_of_many_at_once_exactly_one_wins(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """All who saw the same revision ask at the same time: one gets it, all others a 412."""
    bodies = [{"model": "fast", "endpoints": [{**BETA, "model_id": f"beta-{n}"}]} for n in range(10)]
    answers = await asyncio.gather(*(call(admin, "POST", "/routes", body, {"If-Match": '"0"'}) for body in bodies))

    assert sorted(status for status, _ in answers) == [200] + [412] * 9
    assert table.revision == 1


async def test_a_batch_is_one_revision(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Several routes are set and removed together."""
    await set_route(admin, BETA)
    routes = [{"model": f"m{number}", "endpoints": [ALPHA]} for number in range(3)]
    status, answer = await call(admin, "POST", "/routes:batch", {"set": routes, "remove": ["fast"], "reason": "move"})

    assert (status, answer["revision"], len(answer["routes"])) == (200, 2, 4)
    assert [route.model for route in table.list_dynamic_routes()] == ["m0", "m1", "m2"]
    assert (await history(admin))["changes"][0]["action"] == "batch"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"set": [{"model": "m", "endpoints": [BETA]}, {"model": "n", "endpoints": []}]}, 400, "`n` has no endpoints"),
        ({"set": [{"model": "m", "endpoints": [BETA]}], "remove": ["fast"]}, 404, "has no dynamic route"),
        ({"set": [{"model": "m", "endpoints": [BETA]}], "remove": ["m"]}, 400, "`m` comes twice"),
        ({}, 400, "The batch is empty"),
        ({"set": [{"model": "m", "endpoint": []}]}, 400, "did you mean `endpoints`?"),
    ],
)
async def test_a_batch_is_all_or_nothing(
    admin: AdminClient, table: DynamicRoutingTable, body: Json, status: int, said: str
) -> None:
    """One change that can't be made keeps all others back."""
    answered, answer = await call(admin, "POST", "/routes:batch", body)

    assert (answered, table.revision) == (status, 0)
    assert said in answer["error"]["message"]


async def test_a_dry_run_tells_what_would_change_and_changes_nothing(
    admin: AdminClient, table: DynamicRoutingTable
) -> None:
    """The diff is between the routes that requests take: the config route is what a first swap replaces."""
    body = {"model": "fast", "endpoints": [BETA], "expires_in_s": 60}
    for path, sent in (("/routes?dry_run=true", body), ("/routes", {**body, "dry_run": True})):
        status, answer = await call(admin, "POST", path, sent)
        assert (status, answer["dry_run"], answer["revision"]) == (200, True, 0)
        (diff,) = answer["routes"]
        assert (diff["before"]["source"], diff["after"]["source"]) == ("config", "dynamic")
        assert [each["model_id"] for each in diff["before"]["endpoints"]] == ["alpha-1", "beta-1"]
        assert diff["after"]["expires_at"] == answer["expires_at"]
    assert table.revision == 0
    await set_route(admin, BETA)

    changes: list[tuple[str, str, Json | None]] = [
        ("DELETE", "/routes/fast?dry_run=true", None),
        ("POST", "/routes:batch?dry_run=1", {"remove": ["fast"]}),
        ("POST", "/rollback", {"to_revision": 0, "dry_run": True}),
        ("POST", "/routes/fast/rollback?dry_run=true", None),
        ("POST", "/providers/beta/drain?dry_run=true", None),
    ]
    for method, path, wanted in changes:
        status, answer = await call(admin, method, path, wanted)
        assert (status, answer["dry_run"], answer["revision"]) == (200, True, 1), path
    assert table.revision == 1
    assert (await call(admin, "POST", "/routes?dry_run=perhaps", body))[0] == 400


async def test_warnings_tell_what_speaks_against_a_route(
    aiohttp_client: Callable[[web.Application], Awaitable[AdminClient]],
) -> None:
    """An unknown model id, a protocol, a context and a missing fallback are told before the swap, and it can be made."""
    wide = EndpointOverrides(max_input_tokens=200_000)
    models = {**MODELS, "wide": Model((Endpoint("alpha", "alpha-w", overrides=wide),))}
    table = DynamicRoutingTable(ConfigRoutingTable(PROVIDERS, models))
    settings = Settings(admin=Admin(), providers=PROVIDERS, models=models)
    root = web.Application()
    root.add_subapp("/admin", build_plane(table, settings))
    admin = await aiohttp_client(root)

    async def codes(endpoints: list[Json], model: str = "wide") -> set[tuple[str, str | None]]:
        _, answer = await call(admin, "POST", "/routes?dry_run=true", {"model": model, "endpoints": endpoints})
        return {(each["code"], each.get("provider")) for each in answer["warnings"]}

    assert await codes([{**BETA, "max_input_tokens": 8000}]) == {
        ("protocol_not_spoken", "beta"),
        ("smaller_context", "beta"),
        ("no_fallback", None),
    }
    assert await codes([ALPHA, {**ALPHA, "model_id": "alhpa-2"}], "fast") == {("unknown_model_id", "alpha")}
    assert await codes([ALPHA, {**ALPHA, "model_id": "alpha-2"}], "fast") == set()
    await call(admin, "POST", "/providers/alpha/drain")
    assert await codes([ALPHA], "fast") == {("provider_drained", "alpha"), ("none_usable", None)}
    _, answer = await call(admin, "POST", "/routes", {"model": "new", "endpoints": [BETA]})
    _, answer = await call(admin, "DELETE", "/routes/new")
    assert [each["code"] for each in answer["warnings"]] == ["no_route"]


async def test_the_same_key_makes_a_change_once(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """With its key and body again, a request gets the same answer; another body is refused, another key is new."""
    body, key = {"model": "fast", "endpoints": [BETA]}, {"Idempotency-Key": "k-1"}
    first = await call(admin, "POST", "/routes", body, key)
    again = await call(admin, "POST", "/routes", body, key)

    assert first == again
    assert (first[0], table.revision) == (200, 1)
    assert (await call(admin, "POST", "/routes", {**body, "reason": "other"}, key))[0] == 422
    assert (await call(admin, "DELETE", "/routes/fast", headers=key))[0] == 422
    assert (await call(admin, "POST", "/routes", body, {"Idempotency-Key": "k-2"}))[1]["revision"] == 2
    assert (await call(admin, "POST", "/routes", body, {"Idempotency-Key": "k" * 256}))[0] == 400


async def test_a_refused_request_with_a_key_is_judged_anew(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """It has changed nothing, so it may be sent again, mended."""
    key = {"Idempotency-Key": "k"}
    assert (await call(admin, "POST", "/routes", {"model": "fast", "endpoints": []}, key))[0] == 400
    assert (await call(admin, "POST", "/routes", {"model": "fast", "endpoints": [BETA]}, key))[0] == 200
    assert table.revision == 1


@pytest.mark.parametrize(("most_keys", "most_bytes"), [(3, 10**6), (1000, 2500)])
async def test_keys_are_forgotten_in_the_end(
    admin: AdminClient, monkeypatch: pytest.MonkeyPatch, most_keys: int, most_bytes: int
) -> None:
    """Only the latest are remembered, by their number and by what their answers hold: the first change is made anew."""
    monkeypatch.setattr(idempotency, "MOST_KEYS", most_keys)
    monkeypatch.setattr(idempotency, "MOST_BYTES", most_bytes)
    body = {"model": "fast", "endpoints": [BETA]}
    revisions = [
        (await call(admin, "POST", "/routes", body, {"Idempotency-Key": key}))[1]["revision"]
        for key in ("a", "b", "c", "d", "e", "e", "a")
    ]

    assert revisions == [1, 2, 3, 4, 5, 5, 6]


class NextChange:
    """Waits for a change of a table by one actor."""

    def __init__(self, table: DynamicRoutingTable, actor: str) -> None:
        self._actor = actor
        self._here: asyncio.Future[Change] = asyncio.get_running_loop().create_future()
        table.subscribe(self._note)

    def _note(self, change: Change) -> None:
        if change.cause.actor == self._actor and not self._here.done():
            self._here.set_result(change)

    async def get(self) -> Change:
        async with asyncio.timeout(10):
            return await self._here


async def test_a_temporary_swap_takes_itself_back(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """What it replaced comes back, also a dynamic route, as a change of its own; until then its end is shown."""
    await set_route(admin, {**BETA, "model_id": "stays"})
    expired = NextChange(table, "pointsman (expiry)")
    answer = await set_route(admin, BETA, expires_in_s=0.3)

    _, listed = await call(admin, "GET", "/routes")
    (shown,) = [route for route in listed["routes"] if route["model"] == "fast"]
    assert shown["expires_at"] == answer["expires_at"]
    left_s = (datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC)).total_seconds()
    assert left_s < 0.3
    table.replace_inner(table.inner)

    change = await expired.get()
    assert (change.cause.action, await serving(admin)) == ("expire", "stays")
    assert (await history(admin, "?limit=1"))["changes"][0]["reason"] == "its time is over"
    _, answer = await call(admin, "GET", "/resolve?model=fast")
    assert "expires_at" not in answer


async def test_a_route_that_was_changed_since_is_not_taken_back(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Of two temporary routes, one replaced for good, only the other goes."""
    expired = NextChange(table, "pointsman (expiry)")
    await set_route(admin, BETA, expires_in_s=0.2)
    await set_route(admin, {**BETA, "model_id": "for-good"})
    await call(admin, "POST", "/routes", {"model": "other", "endpoints": [BETA], "expires_in_s": 0.3})

    assert [edit.model for edit in (await expired.get()).routes] == ["other"]
    assert await serving(admin) == "for-good"


async def test_temporary_routes_lie_on_top_of_each_other(admin: AdminClient) -> None:
    """Each gives way to the one below, unless that is over by then; there is an end to how many."""
    for number in range(8):
        await set_route(admin, {**BETA, "model_id": f"beta-{number}"}, expires_in_s=1000 - number)
    body = {"model": "fast", "endpoints": [BETA], "expires_in_s": 900}
    status, answer = await call(admin, "POST", "/routes", body)
    assert status == 400
    assert "8 temporary routes" in answer["error"]["message"]
    assert (await call(admin, "POST", "/routes", {**body, "expires_in_s": 2000}))[0] == 200


async def test_what_could_not_be_taken_back_is_taken_back_later(
    table: DynamicRoutingTable,
    aiohttp_client: Callable[[web.Application], Awaitable[AdminClient]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While the audit trail can't be written, a temporary route stays; nothing else ends with that."""
    monkeypatch.setattr(follower, "RETRY_S", 0.01)
    trail = tmp_path / "audit.jsonl"
    root = web.Application()
    root.add_subapp("/admin", build_plane(table, Settings(admin=Admin(audit=str(trail)), providers=PROVIDERS)))
    admin = await aiohttp_client(root)
    expired = NextChange(table, "pointsman (expiry)")
    await set_route(admin, BETA, expires_in_s=0.05)
    trail.unlink()
    trail.mkdir()
    async with asyncio.timeout(10):
        while "is still in force" not in caplog.text:
            assert await serving(admin) == "beta-1"
    trail.rmdir()

    await expired.get()
    assert await serving(admin) == "alpha-1"


async def test_a_fault_does_not_end_all_later_expiries(
    table: DynamicRoutingTable,
    admin: AdminClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever listens to changes may fail at one; the next temporary route still ends in time."""
    monkeypatch.setattr(follower, "RETRY_S", 0.01)
    faults = iter([RuntimeError("a listener's own fault")])

    def fail_once(change: Change) -> None:
        if change.cause.action is Action.EXPIRE and (fault := next(faults, None)) is not None:
            raise fault

    for listeners in ([fail_once], []):
        expired = NextChange(table, "pointsman (expiry)")
        for listener in listeners:
            table.subscribe(listener)
        await set_route(admin, BETA, expires_in_s=0.02)
        await expired.get()
        assert await serving(admin) == "alpha-1"
    assert "a listener's own fault" in caplog.text


async def test_nothing_changes_that_can_not_be_written_down(
    table: DynamicRoutingTable, aiohttp_client: Callable[[web.Application], Awaitable[AdminClient]], tmp_path: Path
) -> None:
    """Every change is in the audit trail before it is in force; dry runs are not."""
    trail = tmp_path / "audit.jsonl"
    root = web.Application()
    root.add_subapp("/admin", build_plane(table, Settings(admin=Admin(audit=str(trail)), providers=PROVIDERS)))
    admin = await aiohttp_client(root)
    await set_route(admin, BETA)
    await set_route(admin, BETA, dry_run=True)
    assert (await call(admin, "POST", "/providers/alpha/drain"))[0] == 200
    written = [json.loads(line) for line in trail.read_text().splitlines()]
    trail.unlink()
    trail.mkdir()

    for method, path in (("DELETE", "/routes/fast"), ("POST", "/providers/alpha/restore")):
        status, answer = await call(admin, method, path)
        assert status == 503
        assert "nothing was changed" in answer["error"]["message"]
    assert table.revision == 2
    assert [(line["actor"], line["action"], line["revision"]) for line in written] == [
        ("local", "set", 1),
        ("local", "drain", 2),
    ]


async def test_routes_come_in_pages_and_by_name(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """`limit` and `after` page through, `q` searches whatever the case; together they count what was found."""
    for name in ("Gamma-1", "gamma-2", "z"):
        table.add_route(DynamicRoute(name, [RouteEndpoint("beta", "b")]))

    async def page(query: str) -> tuple[list[str], int, str | None]:
        _, answer = await call(admin, "GET", f"/routes?{query}")
        return [route["model"] for route in answer["routes"]], answer["total"], answer["next"]

    assert await page("limit=2") == (["Gamma-1", "fast"], 5, "fast")
    assert await page("limit=2&after=fast") == (["gamma-2", "spread"], 5, "spread")
    assert await page("limit=2&after=spread") == (["z"], 5, None)
    assert await page("q=GAMMA") == (["Gamma-1", "gamma-2"], 2, None)
    assert await page("q=gamma&limit=1&after=Gamma-1") == (["gamma-2"], 2, None)
    assert (await call(admin, "GET", "/routes?limit=1001"))[0] == 400


async def test_a_reason_has_an_end(admin: AdminClient) -> None:
    """In a body and in an address: more than 500 characters are refused."""
    body = {"model": "fast", "endpoints": [BETA], "reason": "x" * 501}
    assert (await call(admin, "POST", "/routes", body))[0] == 400
    await set_route(admin, BETA)
    assert (await call(admin, "DELETE", f"/routes/fast?reason={'x' * 501}"))[0] == 400
