"""The login page, and the way out: a browser gives its token once, and has a session from then on."""

from aiohttp import hdrs, web

from proxy.admin.access.actor import Actor, actor_of
from proxy.admin.access.cookies import SESSION
from proxy.admin.access.forms import read_form
from proxy.admin.access.gate import TooManyGuessesError, UnauthorizedError
from proxy.admin.answers import lead_to
from proxy.admin.keys import GATE, TRAIL
from proxy.admin.layout import render


async def show(request: web.Request) -> web.Response:
    """`GET /login`: the form that asks for a token; where none is needed, the page."""
    if not request.app[GATE].tokens.are_needed:
        return lead_to(request, "page")
    return render(request, "login.html", {"refused": None})


async def log_in(request: web.Request) -> web.Response:
    """`POST /login`: a token was given. The session that follows is a new one, whatever cookie the browser had."""
    gate = request.app[GATE]
    if not gate.tokens.are_needed:
        return lead_to(request, "page")
    token = dict(await read_form(request)).get("token", "").strip()
    try:
        holder = gate.check_token(request, token, is_login=True)
    except (UnauthorizedError, TooManyGuessesError) as error:
        response = render(request, "login.html", {"refused": error.message}, status=error.status)
        if error.retry_after_s is not None:
            response.headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
        return response
    await request.app[TRAIL].note(Actor.of(request, holder.name, holder.role), "log_in")
    answer = lead_to(request, "page")
    gate.cookies.write(request, answer, SESSION, gate.open_session(request, holder))
    return answer


async def log_out(request: web.Request) -> web.Response:
    """`POST /logout`: the session ends here, and in the browser."""
    gate = request.app[GATE]
    gate.end_session(request)
    await request.app[TRAIL].tell(actor_of(request), "log_out")
    answer = lead_to(request, "login" if gate.tokens.are_needed else "page")
    gate.cookies.forget(request, answer, SESSION)
    return answer
