"""Times and figures as people read them; `static/live.js` writes them in the same way."""

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


def rate(per_s: float) -> str:
    """Something per second: small ones with a digit more."""
    return f"{per_s:.0f}" if per_s >= 100 else f"{per_s:.1f}"


_NONE = "\N{EN DASH}"


def share(part: float | None) -> str:
    """A share in percent; a dash where there is nothing to take a share of."""
    if part is None:
        return _NONE
    return f"{part:.0%}".replace("%", " %") if part == 0 or part >= 0.1 else f"{part * 100:.1f} %"


def millis(time_ms: float | None) -> str:
    """A short time; a dash where none is known."""
    if time_ms is None:
        return _NONE
    return f"{time_ms / 1000:.1f} s" if time_ms >= 1000 else f"{time_ms:.0f} ms"
