"""Light or dark: as the system has it, or as somebody chose with the bar's button, which a cookie remembers."""

from aiohttp import web

from proxy.admin.layout import THEME_COOKIE, THEMES
from proxy.admin.pages.fields import fields_of

_A_YEAR_S = 365 * 24 * 3600


async def choose(request: web.Request) -> web.Response:
    """`POST /desk/theme`: another theme, and back to the page."""
    fields = await fields_of(request)
    page = str(request.app.router["page"].url_for())
    here = fields.text("here")
    # Only to a page of our own: the form could have been made up.
    response = web.HTTPSeeOther(here if here.startswith(page) and "\\" not in here else page)
    theme = fields.text("theme")
    if theme in THEMES:
        response.set_cookie(THEME_COOKIE, theme, max_age=_A_YEAR_S, path=page, httponly=True, samesite="Strict")
    raise response
