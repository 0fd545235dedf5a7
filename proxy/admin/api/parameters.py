"""What the calls of the admin API read beside their bodies: from the query, and headers of their own."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from proxy.admin.api.idempotency import LONGEST_KEY
from proxy.admin.payloads import Reason
from proxy.telemetry import EventKind

USUAL_PAGE, LARGEST_PAGE = 100, 1_000
USUAL_CHANGES, MOST_CHANGES = 50, 200
USUAL_REQUESTS, MOST_REQUESTS = 100, 1_000

REVISION_PATTERN = r'(?:W/)?"?([0-9]{1,18})"?'
STATUS_PATTERN = "[0-5]xx|[0-9]{1,3}"
_KIND = "|".join(EventKind)
_KINDS_PATTERN = f"(?:{_KIND})(?:,(?:{_KIND}))*"


class RoutesQuery(msgspec.Struct, frozen=True):
    """Which routes; without any of it, all."""

    limit: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="How many at most.")] = USUAL_PAGE
    after: Annotated[str, Meta(description="The model behind which the page begins.")] = ""
    q: Annotated[str, Meta(description="What the models have in their names, whatever its case.")] = ""


class ModelQuery(msgspec.Struct, frozen=True):
    """Which model."""

    model: Annotated[str, Meta(min_length=1, description="The name, as a client would send it.")]


class HistoryQuery(msgspec.Struct, frozen=True):
    """Which changes."""

    limit: Annotated[int, Meta(ge=1, le=MOST_CHANGES, description="How many at most.")] = USUAL_CHANGES
    before: Annotated[int, Meta(ge=1, lt=10**18, description="The revision before which to begin.")] | UnsetType = UNSET
    model: Annotated[str, Meta(description="The one whose dynamic route was changed.")] | UnsetType = UNSET


class ChangeQuery(msgspec.Struct, frozen=True):
    """How a change is made."""

    dry_run: Annotated[bool, Meta(description="Whether only to tell what would change.")] = False
    cut_old: Annotated[bool, Meta(description="Whether to end the answers under way at what is left.")] = False


class RemovalQuery(ChangeQuery, frozen=True):
    """The same for a change that has no body."""

    reason: Annotated[Reason, Meta(description="Why, for the history.")] = ""


class ChangeHeaders(msgspec.Struct, frozen=True, rename={"if_match": "If-Match", "idempotency_key": "Idempotency-Key"}):
    """For which revision a change is meant, and how it is known again."""

    if_match: (
        Annotated[
            str,
            Meta(
                pattern=rf"^(?:\*|{REVISION_PATTERN})$",
                description='The revision that the change is meant for, such as "12"; without it, or with *: any.',
            ),
        ]
        | UnsetType
    ) = UNSET
    idempotency_key: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=LONGEST_KEY,
                description="A change that comes again with its key is not made again, and gets the same answer.",
            ),
        ]
        | UnsetType
    ) = UNSET


class RequestFilterQuery(msgspec.Struct, frozen=True):
    """Which requests; without any of it, all."""

    model: Annotated[str, Meta(description="The one that was asked for.")] | UnsetType = UNSET
    provider: Annotated[str, Meta(description="One that was asked, whoever answered.")] | UnsetType = UNSET
    status: (
        Annotated[str, Meta(pattern=f"^(?:{STATUS_PATTERN})$", description="Such as 503, or 5xx for all of them.")]
        | UnsetType
    ) = UNSET
    failed: Annotated[bool, Meta(description="Whether they failed.")] | UnsetType = UNSET


class RequestsQuery(RequestFilterQuery, frozen=True):
    """The same, and how many of them."""

    limit: Annotated[int, Meta(ge=1, le=MOST_REQUESTS, description="How many at most.")] = USUAL_REQUESTS


class EventsQuery(RequestFilterQuery, frozen=True):
    """Which events; the filters are for the kind `requests`."""

    kinds: (
        Annotated[
            str,
            Meta(
                pattern=f"^{_KINDS_PATTERN}$",
                description="Those to be told of, with commas between; without it, all but requests.",
            ),
        ]
        | UnsetType
    ) = UNSET
    last_event_id: Annotated[str, Meta(description="As the header, for those that can't send one.")] | UnsetType = UNSET


class EventsHeaders(msgspec.Struct, frozen=True, rename={"last_event_id": "Last-Event-ID"}):
    """Where a stream broke off."""

    last_event_id: Annotated[str, Meta(description="The id of the last event that came.")] | UnsetType = UNSET
