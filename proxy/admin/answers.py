"""What every answer of the admin plane has in common: its security headers, and the shape of a refusal."""

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from proxy.admin.access.gate import UnauthorizedError
from proxy.admin.access.origins import is_from_elsewhere
from proxy.admin.changes.desk import StaleChangeError
from proxy.admin.changes.payloads import StaleAnswer
from proxy.admin.keys import DESK
from proxy.admin.layout import render
from proxy.admin.payloads import ErrorAnswer, ErrorDetail
from proxy.errors import ProxyError

_SECURITY_HEADERS = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The page's own forms must name their origin, which `no-referrer` would hide.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_TITLES = {
    403: "Not allowed",
    404: "Nothing here",
    405: "Not like this",
    429: "Too many wrong tokens",
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
        is_browser = wants_page(request) and hdrs.AUTHORIZATION not in request.headers
        if isinstance(error, UnauthorizedError) and is_browser:
            return _to_login(request)
        response = refuse(request, error.status, error.message)
        if isinstance(error, UnauthorizedError):
            response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
        if error.retry_after_s is not None:
            response.headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
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
    return render(request, "error.html", {"title": title, "message": message}, status=status)


def _to_login(request: web.Request) -> web.Response:
    """Lead a browser to the login page.

    One that comes by a link from elsewhere doesn't send its cookie with that step (SameSite=Strict), but with the next.
    """
    if request.method == hdrs.METH_GET and is_from_elsewhere(request):
        return render(request, "step.html", {"target": request.rel_url})
    return lead_to(request, "login")


def lead_to(request: web.Request, name: str) -> web.Response:
    """The answer that leads a browser to the page of this name."""
    return web.Response(status=303, headers={hdrs.LOCATION: str(request.app.router[name].url_for())})


def answer(content: msgspec.Struct, *, status: int = 200) -> web.Response:
    """The answer that holds `content` as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(content), content_type="application/json")
