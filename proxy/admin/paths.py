"""Who may ask what: every path is added with the role that it takes. The guard refuses whatever wasn't."""

from typing import NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from proxy.admin.actor import Role


class Rule(NamedTuple):
    """Who may use a route of the router.

    Attributes:
        role: the role that it takes; None: everybody may.
        is_form: whether it reads a form of the page.
    """

    role: Role | None
    is_form: bool = False


RULES: web.AppKey[dict[web.AbstractRoute, Rule]] = web.AppKey("rules")


class Paths:
    """Adds paths for whoever has a role.

    Args:
        app: the application that answers them.
        role: what it takes; None: everybody may.
    """

    def __init__(self, app: web.Application, role: Role | None) -> None:
        self._router = app.router
        self._rules = app.setdefault(RULES, {})
        self._role = role

    def add_get(self, path: str, handler: Handler, *, name: str | None = None) -> None:
        """What `GET` and `HEAD` show."""
        resource = self._router.add_resource(path, name=name)
        for method in (hdrs.METH_GET, hdrs.METH_HEAD):
            self._rules[resource.add_route(method, handler)] = Rule(self._role)

    def add_post(self, path: str, handler: Handler) -> None:
        """A call of the API."""
        self._rules[self._router.add_post(path, handler)] = Rule(self._role)

    def add_delete(self, path: str, handler: Handler) -> None:
        """A call of the API."""
        self._rules[self._router.add_delete(path, handler)] = Rule(self._role)

    def add_form(self, path: str, handler: Handler, *, name: str | None = None) -> None:
        """What a form of the page is sent to."""
        self._rules[self._router.add_post(path, handler, name=name)] = Rule(self._role, is_form=True)
