"""Who may ask what: every path is added with the role that it takes. The guard refuses whatever wasn't."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from msgspec import Struct

from proxy.admin.access.actor import Role


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of the API, described once: the router, the guard and the API's document (`openapi.py`) go by it.

    What it reads and gives are types that msgspec makes a JSON schema of.

    Attributes:
        method: the one that it takes; `GET` means `HEAD` as well.
        path: as aiohttp's router writes it.
        role: who may.
        handler: what answers it.
        summary: what it does, in a few words.
        details: what else there is to know.
        takes: the type of its JSON body; None: it reads none.
        needs_body: whether it can't do without.
        query: the type of its query's parameters, and `headers` that of headers of its own.
        gives: the type of its JSON answer, or a media type if it is none.
        refuses: how it says no, beyond what the guard and the reading of a body may: the types by status.
    """

    method: str
    path: str
    role: Role
    handler: Handler
    summary: str
    details: str = ""
    takes: type[Struct] | None = None
    needs_body: bool = True
    query: type[Struct] | None = None
    headers: type[Struct] | None = None
    gives: object
    refuses: Mapping[int, object] = field(default_factory=dict)


class Rule(NamedTuple):
    """Who may use a route of the router.

    Attributes:
        role: the role that it takes; None: everybody may.
        is_form: whether it reads a form of the page.
        call: what it does, if it belongs to the API.
    """

    role: Role | None
    is_form: bool = False
    call: Call | None = None


RULES: web.AppKey[dict[web.AbstractRoute, Rule]] = web.AppKey("rules")


class Paths:
    """Adds paths for whoever has a role.

    Args:
        app: the application that answers them.
        role: what it takes; None: everybody may.
    """

    def __init__(self, app: web.Application, role: Role | None) -> None:
        self._app = app
        self._role = role

    def add_get(self, path: str, handler: Handler, *, name: str | None = None) -> None:
        """What `GET` and `HEAD` show."""
        _add(self._app, hdrs.METH_GET, path, handler, Rule(self._role), name)

    def add_form(self, path: str, handler: Handler, *, name: str | None = None) -> None:
        """What a form of the page is sent to."""
        _add(self._app, hdrs.METH_POST, path, handler, Rule(self._role, is_form=True), name)


def add_call(app: web.Application, call: Call) -> None:
    """Let an application answer a call of the API."""
    _add(app, call.method, call.path, call.handler, Rule(call.role, call=call))


def _add(app: web.Application, method: str, path: str, handler: Handler, rule: Rule, name: str | None = None) -> None:
    rules = app.setdefault(RULES, {})
    resource = app.router.add_resource(path, name=name)
    for each in (hdrs.METH_GET, hdrs.METH_HEAD) if method == hdrs.METH_GET else (method,):
        rules[resource.add_route(each, handler)] = rule
