"""The buttons of a shift that is under way: pause it, let it go on, or put the old route back in force."""

from collections.abc import Callable

from aiohttp import web

from proxy.admin.changes.desk import ChangeDesk
from proxy.admin.changes.shift_drafts import aborting, pausing, resuming
from proxy.admin.keys import CHANGE_DESK
from proxy.admin.layout import back
from proxy.admin.pages.asking import asked
from proxy.admin.pages.fields import fields_of
from proxy.errors import InvalidRequestError
from proxy.routing import Action, Draft

_STEPS: dict[str, Callable[[str, ChangeDesk], Draft]] = {
    "pause": lambda model, changes: pausing(model, changes.table),
    "resume": lambda model, changes: resuming(model, changes.table, changes.clock()),
    "abort": lambda model, changes: aborting(model, changes.table),
}


async def answer(request: web.Request) -> web.Response:
    """`POST /desk/shift`: one of the buttons was pressed. What is refused is told on a page of its own."""
    fields, changes = await fields_of(request), request.app[CHANGE_DESK]
    model, step = fields.text("model"), fields.text("do")
    if step not in _STEPS:
        raise InvalidRequestError(f"A shift can {', '.join(_STEPS)}, nothing else.")
    await changes.make(lambda: _STEPS[step](model, changes), Action.SHIFT, asked(request, fields))
    raise back(request, f"shift-{step}")
