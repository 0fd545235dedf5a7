"""The two cookies of the admin plane. Browsers send them to it alone, and never with a stranger's request."""

import re
import secrets

from aiohttp import web

from proxy.config import Current

SESSION = "pointsman_session"
VISITOR = "pointsman_visitor"
PATH = "/admin"
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


class Cookies:
    """Reads and writes them.

    Args:
        current: the settings in force: whether browsers reach the plane by https alone.
    """

    def __init__(self, current: Current) -> None:
        self._current = current

    def read(self, request: web.Request, name: str) -> str:
        """A cookie's value; empty if there is none, or none that could be ours."""
        value = request.cookies.get(self._full(request, name), "")
        return value if _VALUE.fullmatch(value) else ""

    def write(self, request: web.Request, response: web.StreamResponse, name: str, value: str) -> None:
        """Have the browser keep a cookie until it is closed."""
        response.set_cookie(
            self._full(request, name),
            value,
            path=PATH,
            httponly=True,
            samesite="Strict",
            secure=self._is_secure(request) or None,
        )

    def forget(self, request: web.Request, response: web.StreamResponse, name: str) -> None:
        """Have the browser forget a cookie."""
        response.del_cookie(
            self._full(request, name),
            path=PATH,
            httponly=True,
            samesite="Strict",
            secure=self._is_secure(request) or None,
        )

    def _full(self, request: web.Request, name: str) -> str:
        """The cookie's name: one that begins so can't be set without https (RFC 6265bis section 4.1.3)."""
        return f"__Secure-{name}" if self._is_secure(request) else name

    def _is_secure(self, request: web.Request) -> bool:
        return request.secure or self._current.settings.admin.secure_cookies


def new_value() -> str:
    """A cookie's value that nobody can guess: 256 random bits."""
    return secrets.token_urlsafe(32)
