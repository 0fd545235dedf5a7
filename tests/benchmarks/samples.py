"""Samples as a run finds them, for the tests of what is made of them."""

from benchmarks.figures import Sample
from benchmarks.report import Run


def sample(
    peer: str, *, part: str = "throughput", case: str = "plain, 64 connections", number: int = 1, **changes: float
) -> Sample:
    """A calm and valid sample of the closed loop; `changes` are its values."""
    values = {"requests_per_s": 1000.0, "p50_ms": 1.5, "p99_ms": 4.25, **changes}
    return Sample(part=part, case=case, peer=peer, round=number, values=values)


def run_of(*samples: Sample, **others: object) -> Run:
    """A run of these samples."""
    peers = {name: f"what {name} is" for name in ("direct", "nginx", "floor", "pointsman")}
    run = Run(started="2026-01-31T12:00:00+00:00", machine={"CPU": "some"}, peers=peers, samples=list(samples))
    for name, value in others.items():
        getattr(run, name).update(value) if isinstance(value, dict) else getattr(run, name).extend(value)
    return run


def rows(report: str, peer: str) -> list[list[str]]:
    """The cells of each table row of `peer`, behind its name."""
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in report.splitlines() if line[:1] == "|"]
    return [line[2:] for line in lines if line[1].startswith(peer)]
