"""Temporary routes and drains take themselves back once their time is over."""

import asyncio
import logging

from proxy.admin.access.actor import Actor, Role
from proxy.admin.changes.desk import Asked, ChangeDesk
from proxy.errors import ProxyError
from proxy.routing import Action, Change, Draft

_log = logging.getLogger("pointsman.admin")

_EXPIRY = Asked(Actor("pointsman (expiry)", Role.OPERATOR), "its time is over")
# The wall clock can be set while it is waited for: it is looked at this often.
_LONGEST_WAIT_S = 30.0
_RETRY_S = 5.0


class Expirer:
    """Takes back what is temporary; an async context manager that owns the task which does it.

    What was changed since has another end or none, so it stays.

    Args:
        changes: makes the changes.
    """

    def __init__(self, changes: ChangeDesk) -> None:
        self._changes = changes
        self._table = changes.table
        self._is_due_anew = asyncio.Event()

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()

        def look_again(_change: Change) -> None:
            # A program may change the table from a thread of its own, or after the end.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._is_due_anew.set)

        self._table.subscribe(look_again)
        self._task = asyncio.create_task(self._run())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._is_due_anew.clear()
            wait_s = await self._take_back()
            try:
                async with asyncio.timeout(wait_s):
                    await self._is_due_anew.wait()
            except TimeoutError:
                pass

    async def _take_back(self) -> float:
        """Take back all whose time is over; in how many seconds to look again."""
        try:
            while self._table.expired(self._changes.clock()):
                await self._changes.make(self._first, Action.EXPIRE, _EXPIRY)
        except ProxyError as error:
            _log.error("What has expired is still in force, and is taken back later: %s", ascii(error.message))
            return _RETRY_S
        due = self._table.next_expiry()
        return _LONGEST_WAIT_S if due is None else min(max(due - self._changes.clock(), 0.0), _LONGEST_WAIT_S)

    def _first(self) -> Draft:
        return next(iter(self._table.expired(self._changes.clock())), Draft())
