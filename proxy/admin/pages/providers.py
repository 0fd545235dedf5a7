"""The providers: how each is, and which routes lead to it."""

from aiohttp import web

from proxy.admin.keys import OVERVIEW
from proxy.admin.layout import Tab, render


async def show(request: web.Request) -> web.Response:
    """`GET /desk/providers`."""
    overview = request.app[OVERVIEW]
    providers = [(provider, overview.uses(provider.name)) for provider in overview.providers()]
    return render(request, "providers.html", {"providers": providers}, tab=Tab.PROVIDERS)
