"""What becomes of a table, as data: what is to be changed, what was, by whom and why, and how to go back.

A change has one revision, however many routes and drains it touches: all of it is in force, or none. Pure: whoever
changes something says when.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum, auto

import msgspec

from proxy.errors import InvalidRequestError
from proxy.routing.drains import Drain
from proxy.routing.types import DynamicRoute

MOST_CHANGES = 1_000
MOST_EDITS = 100_000
"""Of all changes that are remembered together: one alone can touch very many routes."""


class Action(StrEnum):
    """What kind of change it was."""

    SET = auto()
    REMOVE = auto()
    BATCH = auto()
    ROLLBACK = auto()
    DRAIN = auto()
    RESTORE = auto()
    SHIFT = auto()
    """A route that takes over bit by bit took a step, was paused or resumed, or was taken back."""
    EXPIRE = auto()
    """What was temporary took itself back."""
    RELOAD = auto()
    """The config routes below were replaced."""


class Cause(msgspec.Struct, frozen=True):
    """Who changes something, why, and when.

    Attributes:
        at: seconds since the epoch; None where nobody said.
    """

    action: Action
    actor: str = ""
    reason: str = ""
    at: float | None = None


class RouteEdit(msgspec.Struct, frozen=True):
    """A model's dynamic route before and after a change; None where there is none. Neither is to be changed."""

    model: str
    before: DynamicRoute | None
    after: DynamicRoute | None


class DrainEdit(msgspec.Struct, frozen=True):
    """A provider's drain before and after a change; None where there is none."""

    provider: str
    before: Drain | None
    after: Drain | None


class Draft(msgspec.Struct, frozen=True):
    """What is to be changed, all of it as one: dynamic routes by model, drains by provider; None removes."""

    routes: Mapping[str, DynamicRoute | None] = {}
    drains: Mapping[str, Drain | None] = {}

    @classmethod
    def setting(cls, routes: Iterable[DynamicRoute], removing: Iterable[str] = ()) -> "Draft":
        """Routes to set, and models whose routes are to be removed."""
        return cls({**{route.model: route for route in routes}, **dict.fromkeys(removing)})


class Change(msgspec.Struct, frozen=True):
    """One accepted change: the revision that it made, and what became of each route and drain that it touched."""

    revision: int
    cause: Cause
    routes: tuple[RouteEdit, ...] = ()
    drains: tuple[DrainEdit, ...] = ()

    @property
    def size(self) -> int:
        """How many things it touched."""
        return len(self.routes) + len(self.drains)

    def drains_after(self, before: Mapping[str, Drain]) -> Mapping[str, Drain]:
        """The drains in force after it, given those before."""
        after = {**before, **{edit.provider: edit.after for edit in self.drains}}
        return {name: drain for name, drain in after.items() if drain is not None}

    def edit_of(self, model: str) -> RouteEdit | None:
        """What became of a model's dynamic route; None if it wasn't touched."""
        return next((edit for edit in self.routes if edit.model == model), None)


def change_between(
    revision: int,
    cause: Cause,
    routes: Mapping[str, DynamicRoute | None],
    new_routes: Mapping[str, DynamicRoute | None],
    drains: Mapping[str, Drain],
    new_drains: Mapping[str, Drain | None],
) -> Change:
    """What leads from routes and drains as they are to those that are wanted, less what is nothing before and after.

    Args:
        revision: the one that it makes.
        cause: who does it, and why.
        routes: dynamic routes by model, at least those of all the models in question.
        new_routes: what is wanted in their place.
        drains: those in force, by provider.
        new_drains: what is wanted in the place of some.
    """
    edits = (RouteEdit(model, routes[model], after) for model, after in new_routes.items())
    drain_edits = (DrainEdit(provider, drains.get(provider), after) for provider, after in new_drains.items())
    return Change(
        revision,
        cause,
        tuple(edit for edit in edits if edit.before is not None or edit.after is not None),
        tuple(edit for edit in drain_edits if edit.before is not None or edit.after is not None),
    )


class StaleRevisionError(InvalidRequestError):
    """A change was meant for another revision than the one in force.

    Attributes:
        revision: the one in force.
    """

    status = 412
    code = "stale_revision"

    def __init__(self, expected: int, revision: int) -> None:
        super().__init__(f"The change was made for revision {expected}, but revision {revision} is in force.")
        self.revision = revision


class ForgottenRevisionError(InvalidRequestError):
    """There is no way back to a revision: it never was, or is too long ago."""

    status = 409
    code = "forgotten_revision"


class History:
    """The latest changes, each of which followed on the one before.

    Args:
        most_changes: how many are remembered.
        most_edits: how many routes and drains they may touch together; the newest is remembered whatever it touched.
    """

    def __init__(self, most_changes: int = MOST_CHANGES, most_edits: int = MOST_EDITS) -> None:
        self._most_changes = most_changes
        self._most_edits = most_edits
        self._edits = 0
        # Read by other threads than the one that changes: `list` copies it in one step.
        self._changes: deque[Change] = deque()

    @property
    def oldest_revision(self) -> int | None:
        """The revision before the oldest change that is remembered; None if there is none."""
        changes = list(self._changes)
        return changes[0].revision - 1 if changes else None

    def add(self, change: Change) -> None:
        """Remember a change, and forget the oldest where there are too many."""
        self._changes.append(change)
        self._edits += change.size
        while len(self._changes) > 1 and (len(self._changes) > self._most_changes or self._edits > self._most_edits):
            self._edits -= self._changes.popleft().size

    def page(self, limit: int, before: int | None = None, model: str | None = None) -> list[Change]:
        """The latest changes before revision `before`, newest first; with a model, those that touched its route."""
        found: list[Change] = []
        for change in reversed(list(self._changes)):
            if len(found) == limit:
                break
            if (before is None or change.revision < before) and (model is None or change.edit_of(model)):
                found.append(change)
        return found

    def way_back_to(self, revision: int) -> Draft:
        """What to change so that everything is as it was once `revision` was in force.

        Raises `ForgottenRevisionError` if the changes since then are not all remembered. A revision that is in force,
        or is yet to come, is nothing to go back to: the draft is empty.
        """
        routes: dict[str, DynamicRoute | None] = {}
        drains: dict[str, Drain | None] = {}
        changes = list(self._changes)
        if changes and revision < changes[0].revision - 1:
            message = (
                f"Revision {revision} is too long ago: the changes since revision {changes[0].revision - 1} are "
                "remembered, and no older ones."
            )
            raise ForgottenRevisionError(message, param="to_revision")
        for change in reversed(changes):
            if change.revision <= revision:
                break
            routes.update((edit.model, edit.before) for edit in change.routes)
            drains.update((edit.provider, edit.before) for edit in change.drains)
        return Draft(routes, drains)

    def before_last_change_of(self, model: str) -> DynamicRoute | None:
        """A model's dynamic route before it was last changed; raises `ForgottenRevisionError` if no change is known."""
        for change in reversed(list(self._changes)):
            if (edit := change.edit_of(model)) is not None:
                return edit.before
        message = f"No change of the route `{model[:80]}` is remembered, so there is nothing to roll back."
        raise ForgottenRevisionError(message, param="model")
