"""What an operator has to look at, said once and not with each request that meets it."""

import logging
import time
from collections.abc import Callable

_EVERY_S = 60.0
_MOST_SUBJECTS = 1000

_log = logging.getLogger("pointsman.alarms")


class Alarms:
    """Log lines that are repeated once a minute at most, each subject for itself.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said_at: dict[str, float] = {}

    def ring(self, subject: str, message: str) -> None:
        """Say `message` of `subject`, unless something was said of it within the last minute."""
        now = self._clock()
        if now < self._said_at.get(subject, -_EVERY_S) + _EVERY_S:
            return
        if len(self._said_at) >= _MOST_SUBJECTS:
            self._said_at.clear()
        self._said_at[subject] = now
        _log.error("ALARM: %s %s", subject, message)
