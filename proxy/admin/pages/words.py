"""Times as people say them."""

from datetime import UTC, datetime


def span(seconds: float) -> str:
    """A length of time, in the two units that say enough of it."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{rest} s"


def ago(at: datetime) -> str:
    """How long ago a point in time is."""
    return f"{span((datetime.now(UTC) - at).total_seconds())} ago"


def ahead(at: datetime) -> str:
    """How far ahead a point in time is."""
    return f"in {span((at - datetime.now(UTC)).total_seconds())}"
