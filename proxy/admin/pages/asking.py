"""How a form asks for its change: by whom, why, and for which revision; and what to tell when somebody was faster."""

from typing import NamedTuple

import msgspec
from aiohttp import web

from proxy.admin.api.changing import asked_by
from proxy.admin.changes.desk import Asked
from proxy.admin.changes.payloads import Changelog
from proxy.admin.keys import DESK
from proxy.admin.pages.fields import Fields

_MOST_TOLD = 5


class Meanwhile(NamedTuple):
    """What others changed since somebody looked.

    Attributes:
        since: the revision at which they looked.
        changes: the newest first, not all of them if there are many.
        more: how many there are beside these.
    """

    since: int
    changes: tuple[Changelog, ...]
    more: int


def asked(request: web.Request, fields: Fields, *, dry_run: bool = False) -> Asked:
    """How a form asks: for the revision that its sheet was reviewed on, unless it only asks what would change."""
    ask = asked_by(request, fields.text("reason"), dry_run=dry_run)
    expected = None if dry_run else fields.number("revision")
    return msgspec.structs.replace(ask, expected=expected)


def meanwhile(request: web.Request, since: int) -> Meanwhile:
    """What was changed since a revision."""
    page = request.app[DESK].history(_MOST_TOLD)
    changes = tuple(change for change in page.changes if change.revision > since)
    return Meanwhile(since, changes, page.revision - since - len(changes))
