"""What every answer of the admin plane has in common: its security headers, and the shape of a refusal."""

import aiohttp_jinja2
import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from proxy.admin.change_desk import StaleChangeError
from proxy.admin.change_payloads import StaleAnswer
from proxy.admin.guard import UnauthorizedError
from proxy.admin.keys import DESK
from proxy.admin.payloads import ErrorAnswer, ErrorDetail
from proxy.errors import ProxyError

_SECURITY_HEADERS = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    # The page's own forms must name their origin, which `no-referrer` would hide.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_TITLES = {
    401: "The admin token is needed",
    403: "Not allowed",
    404: "Nothing here",
    405: "Not like this",
}


async def add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler for `on_response_prepare`."""
    response.headers.update(_SECURITY_HEADERS)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever refuses a request into JSON, or into a small page for a browser."""
    try:
        return await handler(request)
    except StaleChangeError as error:
        return refuse(request, error.status, error.message) if wants_page(request) else _stale(request, error)
    except ProxyError as error:
        response = refuse(request, error.status, error.message)
        if isinstance(error, UnauthorizedError):
            # A browser asks its user for a password; a program must not be made to.
            basic = 'Basic realm="Pointsman admin", charset="UTF-8"'
            response.headers[hdrs.WWW_AUTHENTICATE] = basic if wants_page(request) else "Bearer"
        return response
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = refuse(request, error.status, f"{request.method} is not possible here, only {allowed}.")
        response.headers[hdrs.ALLOW] = allowed
        return response
    except web.HTTPClientError as error:
        return refuse(request, error.status, "There is nothing at this path of the admin plane.")


def _stale(request: web.Request, error: StaleChangeError) -> web.Response:
    desk = request.app[DESK]
    last = desk.last_change(error.model) or desk.last_change(None)
    route = None if error.model is None else desk.find_route(error.model)
    return answer(StaleAnswer(ErrorDetail(error.message), error.revision, last, route), status=error.status)


def wants_page(request: web.Request) -> bool:
    """Whether a person reads the answer in a browser, where there are pages to read."""
    return DESK in request.app and "text/html" in request.headers.get(hdrs.ACCEPT, "")


def refuse(request: web.Request, status: int, message: str) -> web.Response:
    """The answer that refuses a request."""
    if not wants_page(request):
        return answer(ErrorAnswer(ErrorDetail(message)), status=status)
    title = _TITLES.get(status, "This request was refused")
    return aiohttp_jinja2.render_template("error.html", request, {"title": title, "message": message}, status=status)


def answer(content: msgspec.Struct, *, status: int = 200) -> web.Response:
    """The answer that holds `content` as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(content), content_type="application/json")
