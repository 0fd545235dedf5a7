"""Shifts take their steps in time, and take themselves back where the guard finds the new endpoints worse."""

import logging
import time
from collections.abc import Callable

from proxy.admin.access.actor import Actor, Role
from proxy.admin.changes import shift_drafts
from proxy.admin.changes.desk import Asked, ChangeDesk
from proxy.admin.changes.follower import LONGEST_WAIT_S, RETRY_S, Follower
from proxy.admin.changes.shift_guard import Watch, Watching, judge
from proxy.admin.changes.shift_payloads import Judgement
from proxy.admin.endpoints import EndpointReadings
from proxy.errors import ProxyError
from proxy.routing import Action, Draft, DynamicRoute, RouteEndpoint, Shift, ShiftGuard, compared

_log = logging.getLogger("pointsman.admin")

# How often a window is looked at before it is over, so that what is plain is acted on at once.
_LOOKS = 5

Ring = Callable[[str, str], None]
"""Says something of a subject to whoever is on duty."""


def nobody_hears(_subject: str, _message: str) -> None:
    """There is nobody to tell."""


class _Window:
    """The comparison of both sides since a moment.

    Args:
        shift: what is compared.
        watching: begins to watch endpoints.
        now: that moment, by the monotonic clock.
    """

    def __init__(self, shift: Shift, watching: Watching, now: float) -> None:
        self.shift = shift
        self.since = self.looked_at = now
        self.new, self.old = compared(shift)
        sides = ({(each.provider, each.model_id) for each in side} for side in (self.new, self.old))
        self.watches: tuple[Watch, ...] = tuple(map(watching, sides))


class Shifter(Follower):
    """Carries shifts on.

    Every step is a change of its own, in the name of who began the shift. Who swaps, removes or rolls back the route
    meanwhile ends its shift: what isn't in the table isn't carried on.

    Args:
        changes: makes the changes.
        readings: how the endpoints are.
        watching: begins to watch endpoints.
        ring: told of each shift that takes itself back.
        judgements: where the guard's latest judgement of each model's shift is put, and taken away with the shift.
    """

    def __init__(
        self,
        changes: ChangeDesk,
        readings: EndpointReadings,
        watching: Watching,
        ring: Ring,
        judgements: dict[str, Judgement],
    ) -> None:
        super().__init__(changes.table, "What is due for shifts")
        self._changes = changes
        self._readings = readings
        self._watching = watching
        self._ring = ring
        self._judgements = judgements
        self._windows: dict[str, _Window] = {}

    async def act(self) -> float:
        """See `Follower`."""
        wait_s = LONGEST_WAIT_S
        shifting = self._table.shifting()
        for gone in self._judgements.keys() - {route.model for route in shifting}:
            del self._judgements[gone]
        self._windows = {each.model: self._windows[each.model] for each in shifting if each.model in self._windows}
        for route in shifting:
            wait_s = min(wait_s, await self._carry_on(route))
        return wait_s

    async def _carry_on(self, route: DynamicRoute) -> float:
        """Do what is due for one shift; in how many seconds to look again."""
        if (shift := route.shift) is None:
            return LONGEST_WAIT_S
        try:
            judgement = None if shift.guard is None else self._judge(route.model, shift, shift.guard)
            if judgement is not None and judgement.worse:
                await self._take_back(route, shift, judgement.message)
                return LONGEST_WAIT_S
            if shift.next_at is not None and shift.next_at <= self._changes.clock():
                reason = f"step {shift.step + 2} of {len(shift.steps)}: {shift.steps[shift.step + 1]:g} %"
                await self._make(route, shift, reason, self._step)
                return LONGEST_WAIT_S
        except ProxyError as error:
            _log.error("The shift of %s waits: %s", ascii(route.model), ascii(error.message))
            return RETRY_S
        except Exception:  # noqa: BLE001 - a fault of ours must not leave all shifts without their guard
            _log.exception("The shift of %s waits", ascii(route.model))
            return RETRY_S
        due_s = LONGEST_WAIT_S if shift.next_at is None else shift.next_at - self._changes.clock()
        return due_s if shift.guard is None else min(due_s, shift.guard.window_s / _LOOKS)

    def _judge(self, model: str, shift: Shift, guard: ShiftGuard) -> Judgement | None:
        """The guard's judgement; None if it was judged a moment ago."""
        now = time.monotonic()
        window = self._windows.get(model)
        if window is None or (window.shift.to, window.shift.share) != (shift.to, shift.share):
            self._windows[model] = _Window(shift, self._watching, now)
            return None
        if now - window.looked_at < guard.window_s / _LOOKS:
            return None
        window.looked_at = now
        new, old = (watch.read(now) for watch in window.watches)
        out_new, out_old = self._out(window.new), self._out(window.old)
        is_old_gone = bool(out_old) and len(out_old) == len(window.old)
        judgement = judge(guard, new, old, out_new, out_old if is_old_gone else (), self._changes.clock())
        self._judgements[model] = judgement
        # Where requests are few, a window lasts until there are enough to judge by.
        if now - window.since >= guard.window_s and new.attempts >= guard.min_attempts:
            self._windows[model] = _Window(shift, self._watching, now)
        return judgement

    def _out(self, endpoints: list[RouteEndpoint]) -> tuple[str, ...]:
        """Those of the endpoints whose breaker is open."""
        readings = ((each, self._readings.find(each.provider, each.model_id)) for each in endpoints)
        return tuple(
            f"{each.provider}:{each.model_id}"
            for each, reading in readings
            if reading is not None and reading.state == "open"
        )

    async def _take_back(self, route: DynamicRoute, shift: Shift, why: str) -> None:
        reason = f"took itself back at {shift.share:g} %: {why}"
        if await self._make(route, shift, reason, lambda seen: shift_drafts.taking_back(seen, self._table)):
            self._ring(f"The shift of {ascii(route.model)[1:-1]}", ascii(reason)[1:-1])

    def _step(self, seen: DynamicRoute) -> Draft:
        return shift_drafts.stepping(seen, self._table, self._changes.clock())

    async def _make(
        self, route: DynamicRoute, shift: Shift, reason: str, draft: Callable[[DynamicRoute], Draft]
    ) -> bool:
        """Make a change in the name of who began the shift; whether anything changed."""
        asked = Asked(Actor(f"{shift.actor} (shift)", Role.OPERATOR), reason)
        changed = await self._changes.make(lambda: draft(route), Action.SHIFT, asked)
        return bool(changed.routes)
