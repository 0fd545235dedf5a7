"""Which known names to compare with one that isn't known."""

from bisect import bisect_left
from collections.abc import Sequence

_NEIGHBOURS = 200


def neighbours(name: str, sorted_names: Sequence[str]) -> Sequence[str]:
    """The names that stand around `name` in sorted order: few enough to compare one by one in any table."""
    if len(sorted_names) <= 2 * _NEIGHBOURS:
        return sorted_names
    position = bisect_left(sorted_names, name)
    return sorted_names[max(0, position - _NEIGHBOURS) : position + _NEIGHBOURS]
