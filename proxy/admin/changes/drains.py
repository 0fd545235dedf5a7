"""Taking providers out of service and putting them back, and what becomes of each route by it."""

import asyncio
from operator import itemgetter

import msgspec

from proxy.admin.changes.desk import Asked, ChangeDesk
from proxy.admin.changes.payloads import MAX_LISTED, AffectedRoute, DrainBody, Drained, Warned
from proxy.admin.moments import moment
from proxy.config import Current
from proxy.errors import NotFoundError
from proxy.routing import Action, Draft, Drain, RoutingTarget, asked_providers

# Routes that are looked at without letting anything else happen.
_AT_A_STRETCH = 1_000

_Affected = tuple[bool, str, tuple[RoutingTarget, ...]]
"""Whether a model has another way, its name, and the targets that are left to it."""


class DrainDesk:
    """The operator's hand on the providers. Its methods raise what `ChangeDesk`'s do.

    Args:
        changes: makes the changes.
        current: the settings in force, which say which providers there are.
    """

    def __init__(self, changes: ChangeDesk, current: Current) -> None:
        self._changes = changes
        self._table = changes.table
        self._current = current

    async def drain(self, provider: str, body: DrainBody, asked: Asked) -> Drained:
        """Have every route avoid a provider; raises `NotFoundError` if there is none by this name."""
        now = self._changes.clock()
        expires_at = None if body.expires_in_s is None else now + body.expires_in_s
        drain = Drain(provider, body.force, expires_at, asked.actor.name, asked.reason, now)

        def draft() -> Draft:
            if provider not in (known := self._current.settings.providers):
                raise NotFoundError(f"There is no provider `{provider[:80]}`, only {', '.join(sorted(known))}.")
            return Draft(drains={provider: drain})

        changed = await self._changes.make(draft, Action.DRAIN, asked)
        affected = sorted(await self._affected(drain), key=itemgetter(0, 1))
        stuck = [model for has_other_way, model, _ in affected if not has_other_way]
        if stuck:
            fate = "their requests are refused" if body.force else "their requests still go there"
            message = f"{len(stuck)} models have no other way than `{provider}`, so {fate}, such as `{stuck[0]}`."
            changed = msgspec.structs.replace(changed, warnings=(Warned("no_other_way", message, provider=provider),))
        return Drained(
            provider=provider,
            drained=not asked.dry_run,
            expires_at=moment(expires_at),
            affected=tuple(
                AffectedRoute(model, tuple(f"{each.provider_name}:{each.model_id}" for each in targets), has_other_way)
                for has_other_way, model, targets in affected[:MAX_LISTED]
            ),
            affected_total=len(affected),
            without_other_way=tuple(stuck[:MAX_LISTED]),
            without_other_way_total=len(stuck),
            **msgspec.structs.asdict(changed),
        )

    async def restore(self, provider: str, asked: Asked) -> Drained:
        """Put a provider back in service; raises `NotFoundError` if it is not drained."""

        def draft() -> Draft:
            if provider not in self._table.drains.by_provider:
                raise NotFoundError(f"Provider `{provider[:80]}` is not drained, so there is nothing to restore.")
            return Draft(drains={provider: None})

        changed = await self._changes.make(draft, Action.RESTORE, asked)
        affected_total = sum(1 for _ in self._table.leading_to(provider))
        return Drained(
            provider=provider,
            drained=asked.dry_run,
            affected_total=affected_total,
            **msgspec.structs.asdict(changed),
        )

    async def _affected(self, drain: Drain) -> list[_Affected]:
        """The models with an endpoint at a provider, and where their requests go while it is drained."""
        drained = {**self._table.drains.by_provider, drain.provider: drain}
        found: list[_Affected] = []
        for model, targets in self._table.leading_to(drain.provider):
            asked = asked_providers({target.provider_name for target in targets}, drained)
            left = tuple(target for target in targets if target.provider_name in asked)
            found.append((bool(asked) and drain.provider not in asked, model, left))
            if len(found) % _AT_A_STRETCH == 0:
                # The drain is in force: what it costs to tell of very many routes is no request's to wait for.
                await asyncio.sleep(0)
        return found
