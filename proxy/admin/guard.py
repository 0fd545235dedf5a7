"""Who may come in. Everything of the admin plane lies behind this one middleware; nothing is let through by default.

With a token, a request must carry it: as `Authorization: Bearer`, or as the password of HTTP Basic, which is what a
browser can do by itself. Without one, the plane is bound to loopback, and the request must be addressed to it by a
loopback name, since a stranger's page can point its own name at 127.0.0.1 (DNS rebinding). A browser adds the Basic
password to requests that a stranger's page makes, and needs none without a token: so whatever changes something must
come from the admin page itself or from no page at all.
"""

import binascii
import hmac
import logging
import re
from base64 import b64decode

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from proxy.admin.actor import Actor, Role, let_in
from proxy.config import Current
from proxy.errors import InvalidRequestError

_log = logging.getLogger("pointsman.admin")

_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE)


class UnauthorizedError(InvalidRequestError):
    """The request carries no token, or not the right one."""

    status = 401
    code = "unauthorized"


class ForbiddenError(InvalidRequestError):
    """The request comes from where requests may not come from."""

    status = 403
    code = "forbidden"


def build_guard(current: Current) -> Middleware:
    """The middleware that lets in who may come in; raises `UnauthorizedError` or `ForbiddenError` for all others.

    Args:
        current: holds the admin token; an empty one means that the plane is bound to loopback.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        expected = current.settings.admin.token.reveal().encode()
        if not expected:
            _require_loopback_name(request)
            _refuse_cross_site(request)
        elif _require_token(request, expected) == "basic":
            _refuse_cross_site(request)
        let_in(request, Actor("admin" if expected else "local", Role.ADMIN, request.remote or ""))
        return await handler(request)

    return guard


def _require_token(request: web.Request, expected: bytes) -> str:
    """The scheme by which the request carries the token, in lower case."""
    scheme, _, credential = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    scheme = scheme.lower()
    given = credential.strip().encode(errors="surrogateescape")
    if scheme == "basic":
        given = _password(given)
    if scheme in {"basic", "bearer"} and hmac.compare_digest(given, expected):
        return scheme
    if scheme:
        _log.warning("%s was refused at the admin plane: wrong token", request.remote)
        raise UnauthorizedError("The admin token is wrong.")
    raise UnauthorizedError("The admin plane needs its token: send `Authorization: Bearer TOKEN`.")


def _password(credential: bytes) -> bytes:
    """The password of HTTP Basic, whatever the user name (RFC 7617 section 2)."""
    try:
        return b64decode(credential, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _require_loopback_name(request: web.Request) -> None:
    if not _LOOPBACK.fullmatch(request.headers.get(hdrs.HOST, "")):
        raise ForbiddenError(
            "Without an admin token, the admin plane answers only to localhost, 127.0.0.1 and [::1] as the host name. "
            "Set admin.token to reach it by another."
        )


def is_from_page(request: web.Request) -> bool:
    """Whether a browser sent the request for a page.

    Browsers say where a request that changes something comes from in Sec-Fetch-Site, or at least in Origin; other
    clients send neither.
    """
    return "Sec-Fetch-Site" in request.headers or hdrs.ORIGIN in request.headers


def _refuse_cross_site(request: web.Request) -> None:
    """Refuse a change that a page of another site asks for."""
    if request.method in _SAFE_METHODS or not is_from_page(request):
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        own = site in {"same-origin", "none"}
    else:
        own = request.headers[hdrs.ORIGIN].partition("://")[2].lower() == request.headers.get(hdrs.HOST, "").lower()
    if not own:
        raise ForbiddenError("Another site's page asked for this change. Make it from the admin page itself.")
