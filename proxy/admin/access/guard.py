"""Who may come in. Everything of the admin plane lies behind this one middleware; nothing is let through by default.

It decides on the route that the router found, and on who asks. A browser sends its cookie, and needs none without a
token, whoever's page makes it ask: so whatever changes something must come from the admin page itself, and say so with
its form's token, or from no page at all. A bearer token is proof enough: no browser adds one by itself.
"""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from proxy.admin.access.actor import recognise
from proxy.admin.access.gate import Gate, UnauthorizedError, Visitor
from proxy.admin.access.origins import SAFE_METHODS, ForbiddenError, is_from_page, refuse_cross_site, require_host
from proxy.admin.paths import RULES, Rule
from proxy.errors import InvalidRequestError

_TOKENS_IN_QUERY = frozenset({"token", "access_token", "admin_token", "api_key", "authorization", "bearer", "password"})


def build_guard(gate: Gate) -> Middleware:
    """The middleware that lets in who may come in; raises an `InvalidRequestError` with status 400 to 429 for others.

    Args:
        gate: knows who somebody is.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _TOKENS_IN_QUERY.isdisjoint(name.lower() for name in request.query):
            raise InvalidRequestError(
                "A token doesn't belong into the address, where logs and histories keep it: replace it by a new one, "
                "and send that as `Authorization: Bearer TOKEN`."
            )
        visitor = gate.visitor(request)
        if visitor.actor is not None:
            recognise(request, visitor.actor)
        if not visitor.is_bearer:
            require_host(request, gate.hosts)
            refuse_cross_site(request)
        rule = request.app[RULES].get(request.match_info.route)
        _require_role(request, visitor, rule)
        if rule is not None and _must_prove_page(request, visitor, rule):
            await gate.forms.check(request, is_form=rule.is_form)
        return await handler(request)

    return guard


def _require_role(request: web.Request, visitor: Visitor, rule: Rule | None) -> None:
    if rule is not None and rule.role is None:
        return
    if visitor.actor is None:
        raise UnauthorizedError("The admin plane needs its token: send `Authorization: Bearer TOKEN`.")
    if request.match_info.http_exception is not None:
        return  # there is nothing at this path, which whoever came in may hear
    if rule is None:
        raise ForbiddenError("Nobody may use this path: it says of no role that it may.")
    if rule.role is not None and not visitor.actor.role.includes(rule.role):
        raise ForbiddenError(
            f"This takes the role {rule.role}; `{visitor.actor.name}` has the role {visitor.actor.role}."
        )


def _must_prove_page(request: web.Request, visitor: Visitor, rule: Rule) -> bool:
    """Whether the request changes something on the word of a browser."""
    if request.method in SAFE_METHODS or visitor.is_bearer:
        return False
    return rule.is_form or visitor.has_session or is_from_page(request)
