"""The bodies and answers of the admin API: one definition for the API, the page and the command line."""

import re
from difflib import get_close_matches
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from proxy.admin.changes.shift_payloads import GuardBody, ShiftBody, ShiftState
from proxy.admin.moments import Moment
from proxy.config import Changes, Fault
from proxy.config.settings import (
    FAILED_OVER,
    Count,
    Delivery,
    HedgeAfter,
    RouteOptions,
    RouteStrategy,
    Seconds,
    Shadow,
)
from proxy.errors import InvalidRequestError, Protocol
from proxy.routing import RouteEndpoint
from proxy.upstream import Trial
from proxy.wire.model_name import MAX_CHARACTERS

# Far more than anybody fails over to; it keeps one route from filling the page.
MAX_ENDPOINTS = 64

Weight = Annotated[int, Meta(ge=1, le=1_000_000)]
LONGEST_REASON = 500
Reason = Annotated[str, Meta(max_length=LONGEST_REASON)]
Lifetime = Annotated[float, Meta(gt=0, le=366 * 86_400)]
"""In seconds: how long what is temporary stays."""

# What these may be is checked by the table and its drafts; here it is said for the API's document.
ModelName = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MAX_CHARACTERS})]
Strategy = Annotated[str, Meta(extra_json_schema={"enum": list(RouteStrategy)})]
FailedOver = Annotated[str, Meta(extra_json_schema={"enum": list(FAILED_OVER)})]

Body = TypeVar("Body", bound=msgspec.Struct)


class EndpointBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One endpoint as an operator names it."""

    provider: str
    model_id: ModelName
    weight: Weight = 1
    max_input_tokens: Count | msgspec.UnsetType = msgspec.UNSET


class RouteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dynamic route to create or replace, whole: what isn't named is as usual, not as it was.

    The strategies are `RouteStrategy`'s, the options `RouteOptions`'.
    """

    model: ModelName
    endpoints: Annotated[tuple[EndpointBody, ...], Meta(max_length=MAX_ENDPOINTS, extra_json_schema={"minItems": 1})]
    strategy: Strategy = RouteStrategy.PRIORITY
    failover_on: tuple[FailedOver, ...] = FAILED_OVER
    delivery: Delivery = Delivery.LIVE
    hedge_after: Seconds | HedgeAfter | None = None
    ping_s: Seconds | None = None
    sticky_header: str | None = None
    shadow: Shadow | None = None
    preflight: bool = False
    """Whether to try the endpoints out first, and tell what came of it."""
    require_preflight: bool = False
    """The same, and to change nothing unless every one of them is well."""
    reason: Reason = ""
    expires_in_s: Lifetime | None = None
    """After which the route takes itself back; None: never."""
    shift: ShiftBody | None = None
    """How it takes over from the route in force, bit by bit; None: at once."""
    dry_run: bool = False
    """Whether only to tell what would change."""
    cut_old: bool = False
    """Whether to end the answers under way at endpoints that the route leaves."""


class PreflightBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Endpoints to try out: in the protocol that clients will speak, or in each provider's native one."""

    endpoints: Annotated[tuple[EndpointBody, ...], Meta(min_length=1, max_length=MAX_ENDPOINTS)]
    protocol: Protocol | None = None
    streaming: bool = False


class ShadowedRoute(msgspec.Struct, frozen=True):
    """The config route that a dynamic route hides: what comes back into force when that one is removed."""

    strategy: str
    endpoints: tuple[RouteEndpoint, ...]


class RouteState(msgspec.Struct, frozen=True, kw_only=True):
    """What a route does. `options` are there if any is not the usual one, `expires_at` if the route is temporary.

    While it takes over from another, there is a `shift`, and the endpoints are those of both.
    """

    strategy: str
    endpoints: tuple[RouteEndpoint, ...]
    options: RouteOptions | msgspec.UnsetType = msgspec.UNSET
    expires_at: Moment | msgspec.UnsetType = msgspec.UNSET
    shift: ShiftState | msgspec.UnsetType = msgspec.UNSET

    def unusual(self) -> dict[str, str]:
        """The options that are not the usual ones, as text."""
        if self.options is msgspec.UNSET:
            return {}
        own, usual = map(msgspec.structs.asdict, (self.options, RouteOptions()))
        return {name: _option_in_words(value) for name, value in own.items() if value != usual[name]}


class RouteInForce(RouteState, frozen=True, kw_only=True):
    """A route as requests take it now.

    `source` is `config`, `dynamic` or, in an explanation only, `direct`; `protocol` is the native one of the first
    endpoint's provider.
    """

    model: str
    source: str
    shadows_config: bool
    protocol: str | None = None
    shadowed: ShadowedRoute | None = None


class RouteList(msgspec.Struct, frozen=True):
    """Routes in force, sorted by model, and the table's version that says so.

    On a page of them, `total` counts all that were asked for, and `next` is what the next page comes `after`; null on
    the last one.
    """

    revision: int
    routes: tuple[RouteInForce, ...]
    total: int | msgspec.UnsetType = msgspec.UNSET
    next: str | msgspec.UnsetType | None = msgspec.UNSET


class PassedOver(msgspec.Struct, frozen=True):
    """An endpoint of a route that requests avoid now, and why."""

    provider: str
    model_id: str
    reason: str


class Explanation(RouteInForce, frozen=True, kw_only=True):
    """Where a request for a model would go now, and why, in sentences.

    `passed_over` are the endpoints that are drained or out of service. Where that leaves none, they are asked all the
    same, unless they are drained by force.
    """

    why: str
    revision: int
    passed_over: tuple[PassedOver, ...] = ()


class PreflightDone(msgspec.Struct, frozen=True):
    """What came of trying endpoints out, in the order in which they were named."""

    ok: bool
    endpoints: tuple[Trial, ...]


class Reloaded(msgspec.Struct, frozen=True):
    """The configuration was read anew and is in force, save for the keys that need a restart."""

    revision: int
    providers: Changes
    models: Changes
    needs_restart: tuple[str, ...] = ()
    status: str = "ok"


class ErrorDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, in words for a person, and all that is wrong with a configuration that is not in force."""

    message: str
    faults: tuple[Fault, ...] = ()


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every answer that refuses; with the preflight's results, if it failed."""

    error: ErrorDetail
    preflight: tuple[Trial, ...] | msgspec.UnsetType = msgspec.UNSET


def decode(body: bytes, kind: type[Body]) -> Body:
    """What a JSON body asks for; raises `InvalidRequestError` that names the field at fault."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(_explain(str(error), kind)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"The body is not JSON: {error}.") from error


def convert_route(fields: dict[str, object]) -> RouteBody:
    """A route out of fields that are Python values already, such as a form's."""
    try:
        return msgspec.convert(fields, RouteBody)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(_explain(str(error), RouteBody)) from error


def _option_in_words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "nothing"
    return f"{value:g} s" if isinstance(value, float) else str(value)


_CHOICES = {
    "delivery": " or ".join(Delivery),
    "hedge_after": f"seconds or {' or '.join(HedgeAfter)}",
    "protocol": ", ".join(Protocol),
}
_UNKNOWN_CHOICE = "Invalid enum value"
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)


def _explain(message: str, kind: type[msgspec.Struct]) -> str:
    """Msgspec's message (`Expected … - at `$.endpoints[0].weight``) with the place first and the known names last."""
    what, _, where = message.rpartition(" - at `$") if " - at `$" in message else (message, "", "")
    where = where.removesuffix("`").removeprefix(".")
    if (unknown := _UNKNOWN_FIELD.fullmatch(what)) is not None:
        if where.startswith("set["):
            kind = RouteBody
        nested = {"endpoints": EndpointBody, "shift": ShiftBody, "guard": GuardBody, "shadow": Shadow}
        known = nested.get(where.rpartition(".")[2].partition("[")[0], kind).__struct_fields__
        close = get_close_matches(unknown["name"][:80], known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"expected {', '.join(known)}."
        what = f"Unknown field `{unknown['name'][:80]}`: {hint}"
    if what.startswith(_UNKNOWN_CHOICE):
        what = f"expected {_CHOICES[where.rpartition('.')[2]]}, got{what.removeprefix(_UNKNOWN_CHOICE)[:80]}"
    return f"{where}: {what}" if where else what
