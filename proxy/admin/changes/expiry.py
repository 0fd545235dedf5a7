"""Temporary routes and drains take themselves back once their time is over."""

from proxy.admin.access.actor import Actor, Role
from proxy.admin.changes.desk import Asked, ChangeDesk
from proxy.admin.changes.follower import LONGEST_WAIT_S, Follower
from proxy.routing import Action, Draft

_EXPIRY = Asked(Actor("pointsman (expiry)", Role.OPERATOR), "its time is over")


class Expirer(Follower):
    """Takes back what is temporary. What was changed since has another end or none, so it stays.

    Args:
        changes: makes the changes.
    """

    def __init__(self, changes: ChangeDesk) -> None:
        super().__init__(changes.table, "What has expired is still in force: its end")
        self._changes = changes

    async def act(self) -> float:
        """See `Follower`."""
        while self._table.expired(self._changes.clock()):
            await self._changes.make(self._first, Action.EXPIRE, _EXPIRY)
        due = self._table.next_expiry()
        return LONGEST_WAIT_S if due is None else due - self._changes.clock()

    def _first(self) -> Draft:
        return next(iter(self._table.expired(self._changes.clock())), Draft())
