"""What proves that a form is the admin page's own: a token in it that no stranger's page can know.

It is bound to the browser's session. Where there is none, it is bound to a cookie that tells browsers apart and is good
for nothing else: at the login page, and where no token is needed.
"""

import hmac
import secrets
from urllib.parse import parse_qsl

from aiohttp import web
from markupsafe import Markup

from proxy.admin.access.cookies import VISITOR, Cookies, new_value
from proxy.admin.access.origins import ForbiddenError
from proxy.admin.bodies import read_body
from proxy.admin.payloads import MAX_ENDPOINTS
from proxy.errors import InvalidRequestError

FIELD = "csrf"
HEADER = "X-CSRF-Token"
_MAX_FIELDS = 32 + 3 * MAX_ENDPOINTS

_BOUND_TO: web.RequestKey[str] = web.RequestKey("bound_to")
_NEW_VISITOR: web.RequestKey[str] = web.RequestKey("new_visitor")
_FIELDS: web.RequestKey[list[tuple[str, str]]] = web.RequestKey("fields")


class Forms:
    """Makes and checks the tokens of forms.

    Args:
        cookies: has the browser's own.
    """

    def __init__(self, cookies: Cookies) -> None:
        self._cookies = cookies
        self._key = secrets.token_bytes(32)

    def bind(self, request: web.Request, session_id: str) -> None:
        """Let the tokens of this request's page be good in its session only."""
        request[_BOUND_TO] = session_id

    def token(self, request: web.Request) -> str:
        """The token for whatever the page that answers this request will send."""
        bound_to = request.get(_BOUND_TO) or self._cookies.read(request, VISITOR) or request.get(_NEW_VISITOR)
        if bound_to is None:
            bound_to = request[_NEW_VISITOR] = new_value()
        return self._token(bound_to)

    def field(self, request: web.Request) -> Markup:
        """The same as a hidden field of a form."""
        return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, self.token(request))

    async def check(self, request: web.Request, *, is_form: bool) -> None:
        """Refuse a request without the right token: in its form, or in a header where a script sent it.

        Raises `ForbiddenError`, or `InvalidRequestError` if the form can't be read.
        """
        given = request.headers.get(HEADER, "")
        if is_form and not given:
            given = dict(await read_form(request)).get(FIELD, "")
        bound_to = request.get(_BOUND_TO) or self._cookies.read(request, VISITOR)
        if not bound_to or not hmac.compare_digest(self._token(bound_to).encode(), given.encode()):
            raise ForbiddenError("The page that sent this is out of date. Load it again, and repeat what you did.")

    def mark_visitor(self, request: web.Request, response: web.Response) -> None:
        """Let a browser that gets its first form with this answer get the cookie as well."""
        if (visitor := request.get(_NEW_VISITOR)) is not None:
            self._cookies.write(request, response, VISITOR, visitor)

    def _token(self, bound_to: str) -> str:
        return hmac.digest(self._key, bound_to.encode(), "sha256").hex()


async def read_form(request: web.Request) -> list[tuple[str, str]]:
    """The fields of the form that was sent, in order; raises `InvalidRequestError` if it can't be read."""
    if (fields := request.get(_FIELDS)) is None:
        body = await read_body(request, "application/x-www-form-urlencoded")
        try:
            fields = parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                max_num_fields=_MAX_FIELDS,
                encoding="utf-8",
                errors="strict",
            )
        except ValueError as error:
            raise InvalidRequestError(f"The form can't be read: {error}.") from error
        request[_FIELDS] = fields
    return fields
