"""Where a request comes from: by which name, and whether a stranger's page is behind it.

A stranger's page can make a browser send requests, and can point its own name at this machine (DNS rebinding). The
browser tells the one in `Origin` or `Sec-Fetch-Site`, the other in `Host`. What a proxy says of others
(`X-Forwarded-*`) doesn't count here.
"""

import re
from collections.abc import Collection

from aiohttp import hdrs, web

from proxy.errors import InvalidRequestError

SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|\[::1\]", re.ASCII)
_HOST = re.compile(r"(?P<name>[^:@\[\]]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII)


class ForbiddenError(InvalidRequestError):
    """The request comes from where requests may not come from, or from somebody who may not do this."""

    status = 403
    code = "forbidden"


def require_host(request: web.Request, allowed: Collection[str] | None) -> None:
    """Refuse a request that is addressed by a name other than loopback's and those allowed; None allows any.

    Raises `ForbiddenError`.
    """
    if allowed is None:
        return
    found = _HOST.fullmatch(request.headers.get(hdrs.HOST, "").lower())
    if found is not None and (_LOOPBACK.fullmatch(found["name"]) or found["name"] in allowed):
        return
    if allowed:
        raise ForbiddenError("The admin plane isn't reached by this host name: add it to admin.hosts if it should be.")
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


def is_from_elsewhere(request: web.Request) -> bool:
    """Whether a page of another site is behind the request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = request.headers.get(hdrs.ORIGIN)
    host = request.headers.get(hdrs.HOST, "").lower()
    return origin is not None and origin.partition("://")[2].lower() != host


def refuse_cross_site(request: web.Request) -> None:
    """Refuse a change that a page of another site asks for; raises `ForbiddenError`."""
    if request.method not in SAFE_METHODS and is_from_elsewhere(request):
        raise ForbiddenError("Another site's page asked for this change. Make it from the admin page itself.")
