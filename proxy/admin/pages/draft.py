"""A route as somebody is writing it: what a form holds, typed or pre-filled, right or not yet."""

import hashlib
from typing import NamedTuple, Self

from msgspec import UNSET
from msgspec.structs import asdict

from proxy.admin.pages.fields import Fields
from proxy.admin.payloads import MAX_ENDPOINTS, RouteBody, RouteInForce, convert_route
from proxy.config.settings import RouteStrategy
from proxy.errors import InvalidRequestError

LIFETIMES = {"": "until it is changed", "900": "15 minutes", "3600": "1 hour", "14400": "4 hours", "86400": "1 day"}
"""How long a route can be set for, in seconds, and how that is said."""

PACES = {
    "": "at once",
    "5 25 100/60": "shift: 5, 25, 100 %, a minute each",
    "1 10 50 100/300": "shift: 1, 10, 50, 100 %, five minutes each",
    "10 50 100/20": "shift: 10, 50, 100 %, 20 seconds each",
}
"""How fast a route can take over: percents, and the seconds for each; and how that is said."""


class Row(NamedTuple):
    """One endpoint, as typed."""

    provider: str = ""
    model_id: str = ""
    weight: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was chosen: such a row is left out."""
        return not (self.provider or self.model_id)


class Draft(NamedTuple):
    """The route that a form would put into force."""

    model: str = ""
    strategy: str = RouteStrategy.PRIORITY
    rows: tuple[Row, ...] = (Row(),)
    lifetime: str = ""
    pace: str = ""
    reason: str = ""

    @classmethod
    def of_route(cls, route: RouteInForce) -> Self:
        """What to start from: the route that is to be swapped."""
        side = route if route.shift is UNSET else route.shift.to
        rows = (Row(endpoint.provider, endpoint.model_id, str(endpoint.weight)) for endpoint in side.endpoints)
        return cls(route.model, side.strategy, tuple(rows))

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """What a browser sent: each row's three fields repeat, in the rows' order."""
        columns = (fields.all(name) for name in Row._fields)
        rows = tuple(Row(*row) for row in zip(*columns, strict=False))
        return cls(
            fields.text("model"),
            fields.text("strategy"),
            rows or (Row(),),
            *map(fields.text, ("lifetime", "pace", "reason")),
        )

    def arranged(self, step: str) -> Self:
        """The draft after one of its rows' buttons: `add`, `up-N`, `down-N` or `remove-N`, N counted from 0."""
        rows = list(self.rows)
        action, _, number = step.partition("-")
        index = int(number) if number.isascii() and number.isdigit() else len(rows)
        if action == "add" and len(rows) < MAX_ENDPOINTS:
            rows.append(Row())
        elif index < len(rows) and action in {"up", "down", "remove"}:
            row = rows.pop(index)
            if action != "remove":
                rows.insert(max(0, index + (1 if action == "down" else -1)), row)
        return self._replace(rows=tuple(rows) or (Row(),))

    def to_body(self, in_force: RouteInForce | None) -> RouteBody:
        """The route as the API's body would name it; raises `InvalidRequestError`.

        What the form doesn't show, options and the contexts of endpoints, is as in the route that is in force.
        """
        options: dict[str, object] = {}
        known: dict[tuple[str, str], object] = {}
        if in_force is not None:
            options = {} if in_force.options is UNSET else asdict(in_force.options)
            known = {(each.provider, each.model_id): each.max_input_tokens for each in in_force.endpoints}
        endpoints = []
        for number, row in enumerate(self.rows, 1):
            if row.is_empty:
                continue
            endpoint = _to_endpoint(number, row)
            if context := known.get((row.provider, row.model_id)):
                endpoint["max_input_tokens"] = context
            endpoints.append(endpoint)
        wanted: dict[str, object] = {"model": self.model, "strategy": self.strategy, "endpoints": endpoints}
        if self.lifetime in LIFETIMES and self.lifetime:
            wanted["expires_in_s"] = float(self.lifetime)
        if self.pace in PACES and self.pace:
            steps, _, every_s = self.pace.partition("/")
            wanted["shift"] = {"steps": list(map(float, steps.split())), "every_s": float(every_s)}
        return convert_route(options | wanted)

    def fingerprint(self) -> str:
        """Tells whether this is the draft that was reviewed, whatever the reason given for it."""
        return hashlib.sha256(repr(tuple(self._replace(reason=""))).encode(errors="surrogatepass")).hexdigest()[:16]


def _to_endpoint(number: int, row: Row) -> dict[str, object]:
    if not row.provider:
        raise InvalidRequestError(f"Endpoint {number}: choose a provider.")
    if not row.model_id:
        raise InvalidRequestError(f"Endpoint {number}: name the model id to ask `{row.provider[:80]}` for.")
    try:
        weight = int(row.weight or "1")
    except ValueError:
        raise InvalidRequestError(f"Endpoint {number}: the weight must be a whole number from 1 on.") from None
    return {"provider": row.provider, "model_id": row.model_id, "weight": weight}
