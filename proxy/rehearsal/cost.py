"""What an incident cost: the requests of each of its phases."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from proxy.rehearsal.load import Sample


class Phase(msgspec.Struct, frozen=True):
    """The requests that began within a phase.

    Attributes:
        first_content_p50_ms, first_content_p95_ms: of those that were answered; None if none was.
        served_by: how many each provider answered.
        faults: what was wrong with the first few that failed.
    """

    name: str
    requests: int
    failed: int
    first_content_p50_ms: float | None
    first_content_p95_ms: float | None
    served_by: dict[str, int]
    faults: tuple[str, ...] = ()


class Cost(msgspec.Struct, frozen=True):
    """What all of it cost.

    Attributes:
        phases: one after the other.
        breaker_open_after_s: how long it took from the fault to the breaker; None if it didn't open in time.
        back_after_s: from the restore to the first answer of the provider that was ill; None if there was none yet.
        ok: whether no request failed from the drain on.
    """

    phases: tuple[Phase, ...]
    breaker_open_after_s: float | None
    back_after_s: float | None
    ok: bool


_FAULTS_KEPT = 5


def phase_of(name: str, samples: Sequence[Sample]) -> Phase:
    """What became of these requests."""
    faults = [each.fault for each in samples if each.fault is not None]
    times_s = sorted(each.first_content_s for each in samples if each.fault is None)
    return Phase(
        name,
        len(samples),
        len(faults),
        _percentile_ms(times_s, 0.5),
        _percentile_ms(times_s, 0.95),
        dict(Counter(each.provider for each in samples if each.fault is None)),
        tuple(faults[:_FAULTS_KEPT]),
    )


def _percentile_ms(times_s: Sequence[float], share: float) -> float | None:
    """The nearest rank of sorted times, in milliseconds."""
    if not times_s:
        return None
    return round(times_s[min(int(len(times_s) * share), len(times_s) - 1)] * 1000, 1)
