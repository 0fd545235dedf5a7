"""Where the records of all requests go."""

from proxy.telemetry.access_log import write_line
from proxy.telemetry.outcome import Outcome


class Telemetry:
    """Makes of each request's record what there is to be made of it."""

    def record(self, outcome: Outcome) -> None:
        """Take in a record whose request is over; to be called once for each, in a `finally`."""
        for attempt in outcome.attempts:
            attempt.end()
        write_line(outcome)
