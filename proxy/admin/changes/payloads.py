"""The bodies and answers of the calls that change something, and of the history of changes."""

from typing import Annotated

import msgspec
from msgspec import Meta

from proxy.admin.moments import Moment
from proxy.admin.payloads import ErrorDetail, Lifetime, Reason, RouteBody, RouteInForce, RouteState
from proxy.upstream import Trial

MAX_LISTED = 1_000
"""Routes that one answer names: of those that a drain concerns, which are all counted, and on a page of the history."""


class BatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Routes to set, and models whose dynamic routes are to be removed, all as one change."""

    set: tuple[RouteBody, ...] = ()
    remove: tuple[str, ...] = ()
    reason: Reason = ""
    dry_run: bool = False
    cut_old: bool = False


class RollbackBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way back to a revision: routes and drains as they were once it was in force."""

    to_revision: Annotated[int, Meta(ge=0)]
    reason: Reason = ""
    dry_run: bool = False
    cut_old: bool = False


class ReasonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that there is to say of a change whose object stands in the path."""

    reason: Reason = ""
    dry_run: bool = False
    cut_old: bool = False


class DrainBody(ReasonBody, frozen=True, forbid_unknown_fields=True):
    """A provider to take out of service."""

    expires_in_s: Lifetime | None = None
    force: bool = False
    """Whether to refuse the requests of models that have no other way, instead of letting them keep it."""


class Warned(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that speaks against a change: `code` for programs, `message` for people."""

    code: str
    message: str
    model: str | None = None
    provider: str | None = None
    model_id: str | None = None


class RouteDiff(msgspec.Struct, frozen=True):
    """The route that requests for a model take before and after a change; null where there is none."""

    model: str
    before: RouteInForce | None
    after: RouteInForce | None


class DrainState(msgspec.Struct, frozen=True):
    """A provider is out of service; `since` and `expires_at` may be unknown or never."""

    actor: str
    reason: str
    forced: bool
    since: Moment | None = None
    expires_at: Moment | None = None


class DrainDiff(msgspec.Struct, frozen=True):
    """A provider's drain before and after a change; null where there is none."""

    provider: str
    before: DrainState | None
    after: DrainState | None


class OldTarget(msgspec.Struct, frozen=True):
    """An endpoint that a change leaves, and how many requests of the changed routes are still under way there.

    `cut` counts those of them that were ended.
    """

    provider: str
    model_id: str
    in_flight: int
    cut: int = 0


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A change is in force; with `dry_run`, what it would have been.

    Attributes:
        revision: the one that is in force now.
        routes: the routes that it changes.
        drains: the drains that it changes.
        warnings: what speaks against it.
        replicas: how many processes it is in force in.
        old_targets: endpoints that no route in question leads to any more; requests under way there finish,
            unless `cut_old` asked to end them.
    """

    status: str = "ok"
    revision: int
    dry_run: bool = False
    routes: tuple[RouteDiff, ...] = ()
    drains: tuple[DrainDiff, ...] = ()
    warnings: tuple[Warned, ...] = ()
    replicas: int = 1
    old_targets: tuple[OldTarget, ...] = ()


class RouteSet(Changed, frozen=True, kw_only=True):
    """A dynamic route was created or replaced."""

    model: str
    expires_at: Moment | None = None
    preflight: tuple[Trial, ...] | msgspec.UnsetType = msgspec.UNSET


class RouteRemoved(Changed, frozen=True, kw_only=True):
    """A dynamic route was removed."""

    model: str
    removed: bool = True


class AffectedRoute(msgspec.Struct, frozen=True):
    """A model with an endpoint at a provider, and where its requests go once that is drained, in order.

    `other_way` is false if that is only there: then requests keep it, or with `force` are refused, going nowhere.
    """

    model: str
    goes_to: tuple[str, ...]
    other_way: bool


class Drained(Changed, frozen=True, kw_only=True):
    """A provider was taken out of service, or put back.

    `affected` are the models with an endpoint there, those without another way first; at most 1,000 are named, while
    `affected_total` and `without_other_way_total` count all.
    """

    provider: str
    drained: bool
    expires_at: Moment | None = None
    affected: tuple[AffectedRoute, ...] = ()
    affected_total: int = 0
    without_other_way: tuple[str, ...] = ()
    without_other_way_total: int = 0


class EndpointState(msgspec.Struct, frozen=True):
    """An endpoint that has been asked: its breaker's state, and its requests under way."""

    model_id: str
    state: str
    in_flight: int


class ProviderState(msgspec.Struct, frozen=True):
    """A configured provider; `protocols` begin with its native one, `drain` is null while it is in service."""

    name: str
    protocols: tuple[str, ...]
    drain: DrainState | None
    endpoints: tuple[EndpointState, ...]


class ProviderList(msgspec.Struct, frozen=True):
    """The configured providers, sorted by name."""

    revision: int
    providers: tuple[ProviderState, ...]


class RouteEdited(msgspec.Struct, frozen=True):
    """A model's dynamic route before and after a change; null where it had none."""

    model: str
    before: RouteState | None
    after: RouteState | None


class Changelog(msgspec.Struct, frozen=True):
    """One change: `at` is null where it isn't known; `action` is one of `Action`'s."""

    revision: int
    at: Moment | None
    actor: str
    action: str
    reason: str
    routes: tuple[RouteEdited, ...] = ()
    drains: tuple[DrainDiff, ...] = ()


class HistoryPage(msgspec.Struct, frozen=True):
    """Changes, newest first. `next` is what the next page comes `before`, null on the last.

    `oldest_revision` is the first that a rollback reaches.
    """

    revision: int
    changes: tuple[Changelog, ...]
    oldest_revision: int
    next: int | None = None


class LastChange(msgspec.Struct, frozen=True):
    """Who changed something last, when and why, without what."""

    revision: int
    at: Moment | None
    actor: str
    action: str
    reason: str


class StaleAnswer(msgspec.Struct, frozen=True):
    """Somebody was faster: the state now.

    `last_change` is the model's, or the table's if that is not known; `route` is the one that the change was about, as
    it is in force.
    """

    error: ErrorDetail
    revision: int
    last_change: LastChange | None = None
    route: RouteInForce | None = None
