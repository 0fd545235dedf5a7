"""Points in time, as the API tells them: RFC 3339, in UTC."""

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

Moment = Annotated[datetime, Meta(tz=True)]


def moment(at: float | None) -> datetime | None:
    """Seconds since the epoch as a point in time."""
    return None if at is None else datetime.fromtimestamp(at, UTC)
