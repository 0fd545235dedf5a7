"""How a route's candidate does beside the route itself."""

from collections.abc import Callable

from aiohttp import hdrs, web

from proxy.admin.access.actor import Role
from proxy.admin.answers import answer
from proxy.admin.api.queries import model_in_path
from proxy.admin.paths import Call, add_call
from proxy.admin.payloads import ErrorAnswer
from proxy.errors import NotFoundError
from proxy.telemetry import ShadowFigures

Figures = Callable[[str], ShadowFigures | None]
"""What a model's route and its candidate have come to; None if nothing has been mirrored."""

_FIGURES: web.AppKey[Figures] = web.AppKey("shadow_figures")


def add_shadows(admin: web.Application, figures: Figures) -> None:
    """Let the admin application show what mirrored requests came to."""
    admin[_FIGURES] = figures
    call = Call(
        method=hdrs.METH_GET,
        path="/routes/{model:(?s:.+)}/shadow",
        role=Role.VIEWER,
        handler=shadow,
        summary="A route's candidate beside the route itself",
        gives=ShadowFigures,
        refuses={404: ErrorAnswer},
    )
    add_call(admin, call)


async def shadow(request: web.Request) -> web.Response:
    """`GET /routes/{model}/shadow`: the route and its candidate, side by side."""
    model = model_in_path(request)
    if (figures := request.app[_FIGURES](model)) is None:
        raise NotFoundError(f"No request for `{model[:80]}` has been mirrored: has its route a `shadow`, and traffic?")
    return answer(figures)
