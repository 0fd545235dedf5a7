"""The audit trail: what stands in it, that it is there before the answer, and what happens when it can't be written."""

# ruff: noqa: ASYNC240 - the tests look at small files between requests

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from proxy.config import Current
from proxy.routing import DynamicRoutingTable
from tests.admin.conftest import AdminClient, StartAdmin, csrf_of, log_in

ROUTE = {"model": "fast", "endpoints": [{"provider": "beta", "model_id": "b"}], "reason": "alpha is ill"}
ALICE = {"Authorization": "Bearer token-of-alice"}
VIEWER = {"Authorization": "Bearer token-of-victor"}


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Where it is written."""
    return tmp_path / "audit.jsonl"


@pytest.fixture
async def admin(start_admin: StartAdmin, trail: Path) -> AdminClient:
    """An admin plane with an audit trail and a few tokens."""
    return await start_admin("s3cret-admin-token", alice="operator", victor="viewer", audit=str(trail))


def lines(trail: Path) -> list[dict[str, Any]]:
    """What stands in the trail."""
    return [json.loads(line) for line in trail.read_text().splitlines()]


async def test_a_change_is_told_with_before_and_after(admin: AdminClient, trail: Path) -> None:
    """Who, from where, what, why, and what it was and is, with the revision; only its owner can read the file."""
    async with admin.post("/admin/routes", json=ROUTE, headers=ALICE) as response:
        assert response.status == 200
    async with admin.delete("/admin/routes/fast?reason=well+again", headers=ALICE) as response:
        assert response.status == 200
    first, second = lines(trail)

    assert first.pop("time").endswith("Z")
    after = first["routes"][0].pop("after")
    assert first == {
        "actor": "alice",
        "role": "operator",
        "address": "127.0.0.1",
        "action": "set",
        "request": "POST /admin/routes",
        "outcome": "accepted",
        "reason": "alpha is ill",
        "revision": 1,
        "routes": [{"model": "fast", "before": None}],
        "drains": [],
    }
    assert after["endpoints"] == [{"provider": "beta", "model_id": "b", "weight": 1}]
    assert (second["action"], second["reason"], second["revision"]) == ("remove", "well again", 2)
    assert second["routes"] == [{"model": "fast", "before": after, "after": None}]
    assert stat.S_IMODE(trail.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("path", "body", "headers", "told"),
    [
        ("routes", ROUTE, VIEWER, ("victor", "set", 403)),
        ("routes", {"model": "m", "endpoints": []}, ALICE, ("alice", "set", 400)),
        ("routes", ROUTE, {**ALICE, "If-Match": '"7"'}, ("alice", "set", 412)),
        ("rollback", {"to_revision": 9}, ALICE, ("alice", "rollback", 400)),
        ("routes/fast/rollback", {}, VIEWER, ("victor", "rollback", 403)),
        ("providers/alpha/drain", {}, VIEWER, ("victor", "drain", 403)),
        ("reload", {}, ALICE, ("alice", "reload", 403)),
        ("routes", ROUTE, {}, (None, "set", 401)),
        ("routes", ROUTE, {"Authorization": "Bearer wrong-guess"}, (None, "set", 401)),
        ("routes?token=wrong-guess", ROUTE, {}, (None, "set", 400)),
        ("nothing", {}, ALICE, ("alice", "nothing", 404)),
    ],
)
async def test_a_refusal_is_told(
    admin: AdminClient, trail: Path, path: str, body: object, headers: dict[str, str], told: tuple[str | None, str, int]
) -> None:
    """Whatever would have changed something and may not, by whomever, with its status; without what was guessed."""
    async with admin.post(f"/admin/{path}", json=body, headers=headers) as response:
        assert response.status == told[2], await response.text()
    [line] = lines(trail)

    assert (line["actor"], line["action"], line["status"]) == told
    assert line["outcome"] == "refused"
    assert line["request"] == f"POST /admin/{path.partition('?')[0]}"
    assert line["address"] == "127.0.0.1"
    assert "wrong-guess" not in trail.read_text()


async def test_logins_are_told(admin: AdminClient, trail: Path) -> None:
    """Each that went well or not, and each way out; neither tokens nor sessions stand there."""
    csrf = await csrf_of(admin, "/admin/login")
    async with admin.post("/admin/login", data={"token": "wrong-guess", "csrf": csrf}) as response:
        assert response.status == 401
    await log_in(admin, "token-of-alice")
    secrets = [each.value for each in admin.session.cookie_jar] + ["wrong-guess", "token-of-alice", csrf]
    async with admin.post("/admin/logout", data={"csrf": await csrf_of(admin)}) as response:
        assert response.status == 200

    told = [(line["actor"], line["action"], line["outcome"], line.get("status")) for line in lines(trail)]
    assert told == [
        (None, "log_in", "refused", 401),
        ("alice", "log_in", "accepted", None),
        ("alice", "log_out", "accepted", None),
    ]
    assert not any(secret in trail.read_text() for secret in secrets)


async def test_a_reload_is_told_twice(admin: AdminClient, trail: Path) -> None:
    """Before it is tried, since it can't be undone, and with what came of it."""
    headers = {"Authorization": "Bearer s3cret-admin-token"}
    async with admin.post("/admin/reload", headers=headers) as response:
        assert response.status == 400
    assert [(line["action"], line["outcome"]) for line in lines(trail)] == [("reload", "begun"), ("reload", "refused")]


async def test_what_is_read_is_not_told(admin: AdminClient, trail: Path) -> None:
    """Neither is a change that is only tried out."""
    async with admin.get("/admin/routes", headers=VIEWER) as response:
        assert response.status == 200
    async with admin.post("/admin/routes?dry_run=true", json=ROUTE, headers=ALICE) as response:
        assert response.status == 200
    assert not trail.exists()


async def test_what_can_not_be_told_is_not_done(admin: AdminClient, trail: Path, table: DynamicRoutingTable) -> None:
    """With the trail out of reach, changes and logins are 503 and nothing has changed; once it is back, all goes on."""
    trail.mkdir()
    async with admin.post("/admin/routes", json=ROUTE, headers=ALICE) as response:
        assert response.status == 503
        assert (
            "audit trail can't be written (Is a directory), so nothing was changed"
            in ((await response.json())["error"]["message"])
        )
    fields = {"token": "token-of-alice", "csrf": await csrf_of(admin, "/admin/login")}
    async with admin.post("/admin/login", data=fields, allow_redirects=False) as response:
        assert response.status == 503
        assert "Set-Cookie" not in response.headers
    async with admin.post("/admin/routes", json=ROUTE, headers=VIEWER) as response:
        assert response.status == 403
    assert table.revision == 0

    trail.rmdir()
    async with admin.post("/admin/routes", json=ROUTE, headers=ALICE) as response:
        assert response.status == 200
    assert [line["revision"] for line in lines(trail)] == [1]


async def test_a_pipe_is_no_trail(admin: AdminClient, trail: Path, table: DynamicRoutingTable) -> None:
    """It keeps nothing, and whoever opens it may wait for ever: so it is refused at once."""
    os.mkfifo(trail)
    async with admin.post("/admin/routes", json=ROUTE, headers=ALICE) as response:
        assert response.status == 503
    assert table.revision == 0


async def test_the_file_may_be_moved_away(admin: AdminClient, trail: Path) -> None:
    """Who rotates it needs to tell nobody: the next line goes to a new file."""
    async with admin.post("/admin/routes", json=ROUTE, headers=ALICE) as response:
        assert response.status == 200
    trail.rename(trail.with_suffix(".1"))
    async with admin.delete("/admin/routes/fast", headers=ALICE) as response:
        assert response.status == 200
    assert [line["action"] for line in lines(trail.with_suffix(".1"))] == ["set"]
    assert [line["action"] for line in lines(trail)] == ["remove"]


async def test_another_place_counts_from_a_reload_on(admin: AdminClient, trail: Path, current: Current) -> None:
    """So does none."""
    settings, other = current.settings, trail.with_name("other.jsonl")
    for place in (str(other), None):
        current.settings = replace(settings, admin=replace(settings.admin, audit=place))
        async with admin.post("/admin/routes", json=ROUTE, headers=ALICE) as response:
            assert response.status == 200
    assert len(lines(other)) == 1
    assert not trail.exists()


async def test_a_line_that_was_broken_off_stays_by_itself(admin: AdminClient, trail: Path) -> None:
    """What a crash left half written spoils no line behind it, and what stands there already stays."""
    trail.write_text('{"time": "whole"}\n{"time": "ha')
    async with admin.post("/admin/routes", json=ROUTE, headers=ALICE) as response:
        assert response.status == 200
    first, half, last = trail.read_text().splitlines()
    assert (first, half) == ('{"time": "whole"}', '{"time": "ha')
    assert json.loads(last)["action"] == "set"


async def test_many_changes_at_once_are_all_told(admin: AdminClient, trail: Path, table: DynamicRoutingTable) -> None:
    """One line for each, in the order of the revisions."""

    async def change(number: int) -> None:
        body = {**ROUTE, "model": f"model-{number}"}
        async with admin.post("/admin/routes", json=body, headers=ALICE) as response:
            assert response.status == 200

    await asyncio.gather(*(change(number) for number in range(50)))
    assert table.revision == 50
    assert [line["revision"] for line in lines(trail)] == list(range(1, 51))


async def test_strangers_can_not_fill_the_disk(admin: AdminClient, trail: Path) -> None:
    """Of refusals without a token so many are told in a while; the next line says how many were not."""
    for _ in range(120):
        async with admin.post("/admin/routes", json=ROUTE) as response:
            assert response.status == 401
    assert len(lines(trail)) == 100
    async with admin.post("/admin/routes", json=ROUTE, headers=VIEWER) as response:
        assert response.status == 403
    assert lines(trail)[-1]["omitted"] == 20


async def test_hostile_text_is_one_line(admin: AdminClient, trail: Path) -> None:
    """Line breaks and escapes in names and reasons can't make a line of their own, nor act on a terminal."""
    hostile = 'x","actor":"root\n{"time":0}\u2028\x1b[2J'
    body = {**ROUTE, "model": "m/<b>é", "reason": hostile}
    async with admin.post("/admin/routes", json=body, headers=ALICE) as response:
        assert response.status == 200
    async with admin.delete("/admin/routes/%0A%7B%7D%1B", headers=ALICE) as response:
        assert response.status in {400, 404}
    assert len(trail.read_bytes().split(b"\n")) == 3
    assert b"\x1b" not in trail.read_bytes()
    assert {line["actor"] for line in lines(trail)} == {"alice"}


async def test_stdout_takes_it_too(start_admin: StartAdmin, capfd: pytest.CaptureFixture[str]) -> None:
    """`stdout` writes the lines there."""
    admin = await start_admin("", alice="operator", audit="stdout")
    async with admin.post("/admin/routes", json=ROUTE, headers=ALICE) as response:
        assert response.status == 200
    assert json.loads(capfd.readouterr().out)["action"] == "set"
