"""Finding where something breaks."""

from collections.abc import Callable


def largest_passing(passes: Callable[[int], bool], *, first: int, ceiling: int, tolerance: float) -> int:
    """The largest number that passes, where everything below a limit does and nothing above it.

    From `first` on the number is doubled while it passes, up to the ceiling, or halved while it doesn't, down to a
    sixteenth; then the interval is halved until its ends are less than `tolerance` of the upper one apart. 0 if nothing
    passes.
    """
    good, bad = 0, 2 * ceiling
    number = first
    while number <= ceiling and 2 * good != bad:
        if passes(number):
            good = number
        else:
            bad = number
        if not good and number <= first // 16:
            return 0
        number = 2 * number if good == number else number // 2
    while bad - good > max(1, tolerance * bad) and good < ceiling:
        middle = min((good + bad) // 2, ceiling)
        good, bad = (middle, bad) if passes(middle) else (good, middle)
    return good
