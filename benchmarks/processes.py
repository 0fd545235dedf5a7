"""What processes spend: CPU time and memory of everything in a session, as the kernel charges it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ProcessStat(NamedTuple):
    """What `/proc/PID/stat` says of a process (proc_pid_stat(5))."""

    session: int
    cpu_s: float
    reaped_children_cpu_s: float


def parse_process_stat(stat: str) -> ProcessStat:
    """The text of `/proc/PID/stat`; the command's name in it may hold spaces and parentheses."""
    fields = stat[stat.rindex(")") + 2 :].split()
    user, system, children_user, children_system = (int(field) / TICKS_PER_S for field in fields[11:15])
    return ProcessStat(int(fields[3]), user + system, children_user + children_system)


def session_cpu_s(leader: int) -> float:
    """CPU time, in seconds, of all processes in the session that the process `leader` opened."""
    return sum(stat.cpu_s + stat.reaped_children_cpu_s for _, stat in _session(leader))


def session_pss_bytes(leader: int) -> int:
    """The proportional set size of the same processes: their memory, what they share counted once."""
    total = 0
    for directory, _ in _session(leader):
        with suppress(OSError):  # it has just ended
            total += parse_pss_bytes((directory / "smaps_rollup").read_text())
    return total


def parse_pss_bytes(rollup: str) -> int:
    """The same out of the text of `/proc/PID/smaps_rollup`."""
    return next(1024 * int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def _session(leader: int) -> Iterator[tuple[Path, ProcessStat]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = parse_process_stat(path.read_text())
        except OSError:  # it has just ended
            continue
        if stat.session == leader:
            yield path.parent, stat
