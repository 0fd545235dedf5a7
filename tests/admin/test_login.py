"""Logging in and out: the sessions of browsers, what ends them, and how often a token may be guessed."""

import logging
import re

import aiohttp
import pytest
from msgspec.structs import replace

from proxy.admin.access.guesses import BURST, BURST_OVERALL, EVERY_S, MAX_ADDRESSES, Guesses
from proxy.admin.access.sessions import AGE_S, IDLE_S, MAX_PER_TOKEN, Sessions
from proxy.config import Admin, Current, Role, Secret, hash_token
from proxy.routing import DynamicRoutingTable
from tests.admin.conftest import AdminClient, Clock, StartAdmin, csrf_of, log_in

TOKEN = "correct-hörse-battery-staple"
BROWSER = {"Accept": "text/html"}


async def status(admin: AdminClient, cookie: str | None = None) -> int:
    """How the page answers a browser; with its own cookies, or another one with this cookie alone."""
    if cookie is None:
        async with admin.get("/admin/", headers=BROWSER, allow_redirects=False) as response:
            return response.status
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as other,
        other.get(admin.make_url("/admin/"), headers={**BROWSER, "Cookie": cookie}, allow_redirects=False) as response,
    ):
        return response.status


async def give(admin: AdminClient, token: str) -> tuple[int, str, dict[str, str]]:
    """Give a token at the login page: the answer's status, text and headers."""
    fields = {"token": token, "csrf": await csrf_of(admin, "/admin/login")}
    async with admin.post("/admin/login", data=fields, headers=BROWSER, allow_redirects=False) as response:
        return response.status, await response.text(), dict(response.headers)


def session_of(admin: AdminClient) -> str:
    """The session's cookie as the browser sends it."""
    [cookie] = [each for each in admin.session.cookie_jar if each.key.endswith("pointsman_session")]
    return f"{cookie.key}={cookie.value}"


def forget_cookies(admin: AdminClient) -> None:
    admin.session.cookie_jar.clear()


async def test_a_token_opens_a_session(start_admin: StartAdmin, table: DynamicRoutingTable) -> None:
    """Who logs in gets to the page, is called by the token's name, and may do what its role may."""
    admin = await start_admin("", alice="operator")
    assert await status(admin) == 303
    code, _, headers = await give(admin, "token-of-alice")

    assert (code, headers["Location"]) == (303, "/admin/")
    async with admin.get("/admin/", headers=BROWSER) as response:
        assert "alice (operator)" in await response.text()
    route = {"model": "fast", "endpoints": [{"provider": "beta", "model_id": "x"}]}
    headers = {"X-CSRF-Token": await csrf_of(admin), "Sec-Fetch-Site": "same-origin"}
    async with admin.post("/admin/routes", json=route, headers=headers) as response:
        assert response.status == 200
    [change] = table.history.page(1)
    assert change.cause.actor == "alice"


async def test_the_sessions_cookie_is_for_this_browser_and_plane_alone(start_admin: StartAdmin) -> None:
    """No script can read it, no other site's request carries it, nothing beside the plane gets it; it says nothing."""
    admin = await start_admin(TOKEN)
    _, _, headers = await give(admin, TOKEN)
    cookie = headers["Set-Cookie"]
    value, _, attributes = cookie.partition("; ")

    assert set(attributes.split("; ")) == {"HttpOnly", "Path=/admin", "SameSite=Strict"}
    assert re.fullmatch(r"pointsman_session=[A-Za-z0-9_-]{43}", value)


async def test_cookies_are_secure_where_https_is_spoken(start_admin: StartAdmin) -> None:
    """With `admin.secure_cookies` they go by https alone; what a request says of itself doesn't count."""
    admin = await start_admin(TOKEN, secure_cookies=True)
    async with admin.get("/admin/login") as response:
        cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("__Secure-pointsman_visitor=")
    assert "Secure" in cookie.split("; ")

    plain = await start_admin(TOKEN)
    async with plain.get("/admin/login", headers={"X-Forwarded-Proto": "https"}) as response:
        assert "Secure" not in response.headers["Set-Cookie"]


async def test_wrong_token_is_refused(start_admin: StartAdmin, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong token shows the form again, opens nothing, and is logged without the token."""
    admin = await start_admin(TOKEN)
    with caplog.at_level(logging.DEBUG):
        for wrong in ("wrong-guess", "", TOKEN[:-1], f"{TOKEN}x", hash_token(TOKEN)):
            code, text, _ = await give(admin, wrong)
            assert code == 401
            assert "The admin token is wrong." in text
            assert not wrong or wrong not in text
    assert await status(admin) == 303
    assert "wrong-guess" not in caplog.text
    assert TOKEN not in caplog.text


async def test_login_gives_a_new_session(start_admin: StartAdmin) -> None:
    """A session that somebody planted in the browser doesn't become the user's, and the one before it ends."""
    admin = await start_admin(TOKEN, viewer="viewer")
    await log_in(admin, "token-of-viewer")
    planted = session_of(admin)
    await log_in(admin, TOKEN)
    assert session_of(admin) != planted
    assert await status(admin) == 200
    assert await status(admin, planted) == 303

    forget_cookies(admin)
    made_up = "A" * 43
    admin.session.cookie_jar.update_cookies({"pointsman_session": made_up}, admin.make_url("/admin/"))
    await log_in(admin, TOKEN)
    assert made_up not in session_of(admin)
    assert await status(admin, f"pointsman_session={made_up}") == 303


async def test_a_cookie_is_worth_nothing_after_logout(start_admin: StartAdmin) -> None:
    """The button ends the session here, not only in the browser."""
    admin = await start_admin(TOKEN)
    await log_in(admin, TOKEN)
    cookie = session_of(admin)
    async with admin.post("/admin/logout", data={"csrf": await csrf_of(admin)}, allow_redirects=False) as response:
        assert response.status == 303
        assert response.headers["Location"] == "/admin/login"
        assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert await status(admin) == 303
    assert await status(admin, cookie) == 303


async def test_sessions_end_by_themselves(start_admin: StartAdmin, clock: Clock) -> None:
    """One that isn't used ends soon, one that is used at its greatest age; its cookie is worth nothing then."""
    admin = await start_admin(TOKEN)
    await log_in(admin, TOKEN)
    clock.now += IDLE_S - 1
    assert await status(admin) == 200
    clock.now += IDLE_S
    assert await status(admin) == 303

    await log_in(admin, TOKEN)
    began = clock.now
    while clock.now < began + AGE_S - IDLE_S / 2:
        assert await status(admin) == 200
        clock.now += IDLE_S / 2
    clock.now = began + AGE_S
    assert await status(admin) == 303


async def test_a_session_ends_with_its_token(start_admin: StartAdmin, current: Current) -> None:
    """A reload that removes a token ends its sessions; one that changes its role changes what they may."""
    admin = await start_admin(TOKEN, alice="operator")
    await log_in(admin, "token-of-alice")
    settings = current.settings
    [alice] = settings.admin.tokens

    demoted = replace(settings.admin, tokens=(replace(alice, role=Role.VIEWER),))
    current.settings = replace(settings, admin=demoted)
    fields = {"model": "fast", "csrf": await csrf_of(admin)}
    async with admin.post("/admin/desk/revert", data=fields, allow_redirects=False) as response:
        assert response.status == 403

    current.settings = replace(settings, admin=Admin(Secret(TOKEN)))
    assert await status(admin) == 303


async def test_guessing_is_slowed_down(start_admin: StartAdmin, clock: Clock) -> None:
    """After a few wrong tokens nothing from the address is even compared, by form or bearer, until time has passed."""
    admin = await start_admin(TOKEN)
    await log_in(admin, TOKEN)
    for number in range(BURST):
        assert (await give(admin, f"guess-{number}"))[0] == 401
    code, text, headers = await give(admin, TOKEN)
    assert code == 429
    assert "Too many wrong tokens" in text
    assert 0 < int(headers["Retry-After"]) <= EVERY_S
    forget_cookies(admin)
    async with admin.get("/admin/routes", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
        assert response.status == 429
        assert 0 < int(response.headers["Retry-After"]) <= EVERY_S

    clock.now += EVERY_S
    assert (await give(admin, TOKEN))[0] == 303


async def test_sessions_work_on_while_somebody_guesses(start_admin: StartAdmin) -> None:
    """Who is logged in stays so."""
    admin = await start_admin(TOKEN)
    await log_in(admin, TOKEN)
    cookie = session_of(admin)
    for number in range(BURST + 1):
        async with admin.get("/admin/routes", headers={"Authorization": f"Bearer guess-{number}"}) as response:
            assert response.status in {401, 429}
    assert await status(admin, cookie) == 200


async def test_a_program_with_an_old_token_locks_nobody_out(start_admin: StartAdmin) -> None:
    """The same wrong token again and again is no guessing."""
    admin = await start_admin(TOKEN)
    for _ in range(3 * BURST):
        async with admin.get("/admin/metrics", headers={"Authorization": "Bearer old"}) as response:
            assert response.status == 401
    assert (await give(admin, TOKEN))[0] == 303


async def test_no_login_where_no_token_is_needed(admin: AdminClient) -> None:
    """The login page leads to the page, which shows no way out."""
    async with admin.get("/admin/login", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/admin/")
    async with admin.get("/admin/", headers=BROWSER) as response:
        assert "/admin/logout" not in await response.text()


def test_guesses_from_everywhere_are_limited_as_well() -> None:
    """Many addresses together may guess no more at logins than their common allowance; programs aren't kept out."""
    guesses = Guesses()
    for number in range(BURST_OVERALL):
        address = f"10.0.{number}.1"
        assert guesses.wait_s(address, 0.0, is_login=True) == 0
        guesses.count(address, f"{number}", 0.0)
    assert guesses.wait_s("10.1.0.1", 0.0, is_login=True) > 0
    assert guesses.wait_s("10.1.0.1", 0.0, is_login=False) == 0


def test_a_network_counts_as_one_address() -> None:
    """Who has one IPv6 address has a whole /64 of them."""
    guesses = Guesses()
    for number in range(BURST):
        guesses.count(f"2001:db8::{number:x}", f"{number}", 0.0)
    assert guesses.wait_s("2001:db8::ffff", 0.0, is_login=False) > 0
    assert guesses.wait_s("2001:db8:0:1::1", 0.0, is_login=False) == 0


def test_what_is_kept_is_bounded() -> None:
    """However many addresses guess, and however often a token logs in."""
    guesses, sessions = Guesses(), Sessions()
    for number in range(MAX_ADDRESSES + 10):
        guesses.count(f"address-{number}", "x", 0.0)
    assert len(guesses) == MAX_ADDRESSES

    first = sessions.open("a", 0.0)
    others = [sessions.open("b", 0.0) for _ in range(MAX_PER_TOKEN + 10)]
    assert len(sessions) == MAX_PER_TOKEN + 1
    assert sessions.use(first, 1.0) == "a"
    assert sessions.use(others[0], 1.0) is None
    assert sessions.use(others[-1], 1.0) == "b"
    sessions.open("a", IDLE_S + 2.0)
    assert len(sessions) == 1
