"""Every change that the admin API can be asked for, as the request that asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote

import msgspec

from proxy.admin.changes.payloads import (
    BatchBody,
    Changed,
    DrainBody,
    Drained,
    ReasonBody,
    RollbackBody,
    RouteRemoved,
    RouteSet,
)
from proxy.admin.payloads import RouteBody

Made_co = TypeVar("Made_co", bound=Changed, covariant=True)


@dataclass(frozen=True)
class ChangeCall(Generic[Made_co]):
    """A request that changes something.

    Attributes:
        kind: of its answer.
        method, path, body, query: as they are sent; the path is escaped.
    """

    kind: type[Made_co]
    method: str
    path: str
    body: bytes | None = None
    query: Mapping[str, str | None] = field(default_factory=dict)


def setting(body: RouteBody) -> ChangeCall[RouteSet]:
    """Create or replace a dynamic route."""
    return _post(RouteSet, "/admin/routes", body)


def removing(model: str, reason: str, *, cut_old: bool) -> ChangeCall[RouteRemoved]:
    """Remove a dynamic route."""
    query = {"reason": reason or None, "cut_old": "true" if cut_old else None}
    return ChangeCall(RouteRemoved, "DELETE", f"/admin/routes/{escaped(model)}", query=query)


def together(body: BatchBody) -> ChangeCall[Changed]:
    """Several changes as one revision."""
    return _post(Changed, "/admin/routes:batch", body)


def undoing(model: str, body: ReasonBody) -> ChangeCall[Changed]:
    """Undo the last change of a model's dynamic route."""
    return _post(Changed, f"/admin/routes/{escaped(model)}/rollback", body)


def rolling_back(body: RollbackBody) -> ChangeCall[Changed]:
    """Routes and drains as they were once a revision was in force."""
    return _post(Changed, "/admin/rollback", body)


def shifting(model: str, action: str, body: ReasonBody) -> ChangeCall[Changed]:
    """Steer a shift: `pause`, `resume` or `abort`."""
    return _post(Changed, f"/admin/routes/{escaped(model)}/shift/{action}", body)


def draining(provider: str, body: DrainBody) -> ChangeCall[Drained]:
    """Take a provider out of service."""
    return _post(Drained, f"/admin/providers/{escaped(provider)}/drain", body)


def restoring(provider: str, body: ReasonBody) -> ChangeCall[Drained]:
    """Put it back."""
    return _post(Drained, f"/admin/providers/{escaped(provider)}/restore", body)


def escaped(name: str) -> str:
    """The name as one path segment; `.` and `..` are escaped as well, since they would be taken for steps."""
    return quote(name, safe="") if name.strip(".") else "%2E" * len(name)


def _post(kind: type[Made_co], path: str, body: msgspec.Struct) -> ChangeCall[Made_co]:
    return ChangeCall(kind, "POST", path, msgspec.json.encode(body))
