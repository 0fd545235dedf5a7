"""The help: what the words and keys mean."""

from aiohttp import web

from proxy.admin.layout import render


async def show(request: web.Request) -> web.Response:
    """`GET /desk/help`."""
    return render(request, "help.html", {})
