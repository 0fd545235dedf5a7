"""What can be changed by way of the admin plane, without a word about HTTP; `desk.py` tells what is.

Every change goes the same way: one after the other, reviewed, written to the audit trail, and then put in force in one
step, as one revision.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from proxy.admin.access.actor import Actor
from proxy.admin.changes import drafts
from proxy.admin.changes.payloads import BatchBody, Changed, OldTarget, RouteDiff, RouteRemoved, RouteSet
from proxy.admin.changes.review import Review
from proxy.admin.changes.views import drain_diff
from proxy.admin.desk import Desk
from proxy.admin.endpoints import EndpointReadings, Traffic
from proxy.admin.payloads import RouteBody
from proxy.config import Current
from proxy.routing import Action, Cause, Change, Draft, DynamicRoutingTable, StaleRevisionError


class Asked(msgspec.Struct, frozen=True):
    """How a change is asked for.

    Attributes:
        actor: who asks.
        reason: why, in their words.
        expected: the revision that it is meant for; None: whichever is in force.
        dry_run: whether only to tell what would change.
        cut_old: whether to end the answers under way at endpoints that are left.
    """

    actor: Actor
    reason: str = ""
    expected: int | None = None
    dry_run: bool = False
    cut_old: bool = False


class StaleChangeError(StaleRevisionError):
    """Somebody was faster.

    Attributes:
        model: the model that the change is about; None if it isn't about one alone.
    """

    def __init__(self, expected: int, revision: int, model: str | None) -> None:
        super().__init__(expected, revision)
        self.model = model


class Audit(Protocol):
    """Where every change is written down before it is in force."""

    async def write(self, actor: Actor, change: Change) -> None:
        """Write a change that is about to be made; if that can't be done, raises a `ProxyError`, and it isn't made."""
        ...


class ChangeDesk:
    """The operator's hand on a routing table.

    All that changes something raises `InvalidRequestError` and changes nothing if it can't be, and `StaleChangeError`
    if another revision is in force than it is meant for.

    Args:
        desk: tells what is.
        table: what is changed.
        current: the settings in force.
        readings: how the endpoints are.
        traffic: the requests under way.
        audit: where changes are written down.

    Attributes:
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        desk: Desk,
        table: DynamicRoutingTable,
        current: Current,
        *,
        readings: EndpointReadings,
        traffic: Traffic,
        audit: Audit,
    ) -> None:
        self.table = table
        self.clock: Callable[[], float] = time.time
        self._desk = desk
        self._review = Review(current, readings)
        self._readings = readings
        self._traffic = traffic
        self._audit = audit
        self._turn = asyncio.Lock()
        self._under_way: set[asyncio.Task[Changed]] = set()

    async def close(self) -> None:
        """Let the changes under way come to their end."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def set_route(self, body: RouteBody, asked: Asked) -> RouteSet:
        """Create or replace a dynamic route, whole."""
        changed = await self.make(
            lambda: drafts.setting(body, self.table, self.clock(), asked.actor.name), Action.SET, asked
        )
        after = changed.routes[0].after
        expires_at = None if after is None or after.expires_at is msgspec.UNSET else after.expires_at
        return RouteSet(model=body.model, expires_at=expires_at, **msgspec.structs.asdict(changed))

    async def remove_route(self, model: str, asked: Asked) -> RouteRemoved:
        """Remove a dynamic route; raises `NotFoundError` if there is none."""
        changed = await self.make(lambda: drafts.removing(model, self.table), Action.REMOVE, asked)
        return RouteRemoved(model=model, removed=not asked.dry_run, **msgspec.structs.asdict(changed))

    async def batch(self, body: BatchBody, asked: Asked) -> Changed:
        """Set and remove several routes as one revision, or none of them."""
        return await self.make(
            lambda: drafts.batch(body, self.table, self.clock(), asked.actor.name), Action.BATCH, asked
        )

    async def rollback(self, to_revision: int, asked: Asked) -> Changed:
        """Put routes and drains in force as they were once a revision was; without a revision if that's how they are.

        Raises `ForgottenRevisionError` if there is no way back that far.
        """
        return await self.make(lambda: drafts.way_back(to_revision, self.table), Action.ROLLBACK, asked)

    async def rollback_route(self, model: str, asked: Asked) -> Changed:
        """Undo the last change of a model's dynamic route; raises `ForgottenRevisionError` if none is remembered."""
        return await self.make(lambda: drafts.undoing(model, self.table), Action.ROLLBACK, asked)

    async def make(self, draft: Callable[[], Draft], action: Action, asked: Asked) -> Changed:
        """Make a change, once those that were asked for before are made; with `dry_run`, tell what it would be.

        Args:
            draft: gives it once its turn has come.
            action: its kind.
            asked: how it is asked for.
        """
        task = asyncio.create_task(self._make_in_turn(draft, action, asked))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        # Who asked may leave meanwhile, but what the audit trail says was done is to be done.
        return await asyncio.shield(task)

    async def _make_in_turn(self, draft: Callable[[], Draft], action: Action, asked: Asked) -> Changed:
        async with self._turn:
            wanted = draft()
            if asked.expected is not None and asked.expected != self.table.revision:
                model = next(iter(wanted.routes)) if len(wanted.routes) == 1 else None
                raise StaleChangeError(asked.expected, self.table.revision, model)
            cause = Cause(action, asked.actor.name, asked.reason, self.clock())
            foreseen = self.table.preview(wanted, cause)
            changed = self._changed(foreseen, asked)
            if asked.dry_run or not foreseen.size:
                return changed
            await self._audit.write(asked.actor, foreseen)
            made = self.table.apply(wanted, cause)
            if made is None:
                return changed
            old = self._cut(foreseen, changed.old_targets) if asked.cut_old else changed.old_targets
            return msgspec.structs.replace(changed, revision=made.revision, old_targets=old)

    def _changed(self, change: Change, asked: Asked) -> Changed:
        routes = tuple(map(self._desk.diff, change.routes))
        drained = change.drains_after(self.table.drains.by_provider)
        return Changed(
            revision=self.table.revision,
            dry_run=asked.dry_run,
            routes=routes,
            drains=tuple(map(drain_diff, change.drains)),
            warnings=tuple(
                warning for each in routes for warning in self._review.warnings(each.before, each.after, drained)
            ),
            old_targets=self._left(change, routes),
        )

    def _left(self, change: Change, routes: tuple[RouteDiff, ...]) -> tuple[OldTarget, ...]:
        """The endpoints that these routes lead to no more, and all of the drained providers."""
        left: set[tuple[str, str]] = set()
        for diff in routes:
            before, after = (
                {(each.provider, each.model_id) for each in route.endpoints} if route is not None else set()
                for route in (diff.before, diff.after)
            )
            left |= before - after
        drained = {edit.provider for edit in change.drains if edit.after is not None}
        left |= {(each.provider, each.model_id) for each in self._readings.endpoints() if each.provider in drained}
        counts = ((key, self._traffic.count(*key, _models(change, key[0]))) for key in sorted(left))
        return tuple(OldTarget(*key, count) for key, count in counts)

    def _cut(self, change: Change, targets: tuple[OldTarget, ...]) -> tuple[OldTarget, ...]:
        """End what is under way there."""
        cuts = (self._traffic.cut(each.provider, each.model_id, _models(change, each.provider)) for each in targets)
        return tuple(msgspec.structs.replace(each, cut=cut) for each, cut in zip(targets, cuts, strict=True))


def _models(change: Change, provider: str) -> set[str] | None:
    """The models whose requests at a provider a change concerns; None: all, for a drain."""
    is_drained = any(edit.provider == provider and edit.after is not None for edit in change.drains)
    return None if is_drained else {edit.model for edit in change.routes}
