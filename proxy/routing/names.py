"""The names that can be routed: all of them in order, and those to compare with one that isn't known."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence

_NEIGHBOURS = 200


def neighbours(name: str, sorted_names: Sequence[str]) -> Sequence[str]:
    """The names that stand around `name` in sorted order: few enough to compare one by one in any table."""
    if len(sorted_names) <= 2 * _NEIGHBOURS:
        return sorted_names
    position = bisect_left(sorted_names, name)
    return sorted_names[max(0, position - _NEIGHBOURS) : position + _NEIGHBOURS]


class SortedNames:
    """Names in order, sorted anew only where there are others, which is seldom beside other changes."""

    __slots__ = ("_changes", "_sorted")

    def __init__(self) -> None:
        self._changes = 0
        # Together with the changes that they have seen: another thread may make one meanwhile.
        self._sorted: tuple[int, list[str]] = (-1, [])

    def change(self) -> None:
        """There are other names now."""
        self._changes += 1

    def behind(self, after: str, names: Callable[[], Iterable[str]]) -> list[str]:
        """Those behind one of them, or all behind "", given how to gather them; not to be changed."""
        seen, ordered = self._sorted
        if seen != self._changes:
            seen = self._changes
            ordered = sorted(names())
            self._sorted = (seen, ordered)
        return ordered[bisect_right(ordered, after) :] if after else ordered
