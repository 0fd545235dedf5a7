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
        heard: told of each as well, its subject and the message.
        clock: seconds, never going back.
    """

    def __init__(
        self, heard: Callable[[str, str], None] = lambda *_: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._heard = heard
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
        self._heard(subject, message)
