"""The machine under the benchmark: its cores, who spends CPU time on them, and how a report describes it."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmarks.errors import BenchmarkError

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CALM_WINDOW_S = 0.5
_CALM_BUSY_S = 0.06


class Cores(NamedTuple):
    """Which core runs what."""

    proxy: int
    load: int
    """Shared by the upstream, wrk and the benchmark itself."""


class CoreTimes(NamedTuple):
    """CPU time since boot, in seconds."""

    busy_s: float
    """Spent by processes; interrupts are left out, since the kernel may count the load's own network work there."""
    stolen_s: float
    """Taken by the hypervisor for others."""


class ProcessStat(NamedTuple):
    """What `/proc/PID/stat` says of a process (proc_pid_stat(5))."""

    session: int
    cpu_s: float
    reaped_children_cpu_s: float


def pick_cores() -> Cores:
    """Two cores that this process may use; no two hardware threads of one physical core if it can be helped.

    Raises:
        BenchmarkError: there is only one.
    """
    proxy, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise BenchmarkError("two cores are needed, one for the proxy and one for the load; this process may use one")
    siblings = _siblings(proxy)
    return Cores(proxy, next((core for core in others if core not in siblings), others[0]))


def _siblings(core: int) -> set[int]:
    """The hardware threads of the physical core to which this one belongs."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    return parse_cpu_list(path.read_text()) if path.exists() else {core}


def parse_cpu_list(text: str) -> set[int]:
    """The numbers in the kernel's list format, such as `0-2,8` (cpuset(7))."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def core_times(cores: Iterable[int]) -> CoreTimes:
    """The CPU time of these cores together."""
    return parse_core_times(Path("/proc/stat").read_text(), cores)


def parse_core_times(stat: str, cores: Iterable[int]) -> CoreTimes:
    """The same out of the text of `/proc/stat` (proc_stat(5))."""
    wanted = {f"cpu{core}" for core in cores}
    lines = [line.split() for line in stat.splitlines()]
    ticks = [[int(field) for field in line[1:]] for line in lines if line and line[0] in wanted]
    busy = sum(user + nice + system for user, nice, system, *_ in ticks)
    return CoreTimes(busy / _TICKS_PER_S, sum(fields[7] for fields in ticks) / _TICKS_PER_S)


def parse_process_stat(stat: str) -> ProcessStat:
    """The text of `/proc/PID/stat`; the command's name in it may hold spaces and parentheses."""
    fields = stat[stat.rindex(")") + 2 :].split()
    user, system, children_user, children_system = (int(field) / _TICKS_PER_S for field in fields[11:15])
    return ProcessStat(int(fields[3]), user + system, children_user + children_system)


def session_cpu_s(leader: int) -> float:
    """CPU time, in seconds, of all processes in the session that the process `leader` opened."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = parse_process_stat(path.read_text())
        except OSError:  # it has just ended
            continue
        if stat.session == leader:
            total += stat.cpu_s + stat.reaped_children_cpu_s
    return total


def wait_until_calm(cores: Iterable[int], limit_s: float) -> None:
    """Return as soon as next to nothing runs on these cores, at the latest after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before = core_times(cores).busy_s
        time.sleep(_CALM_WINDOW_S)
        if core_times(cores).busy_s - before < _CALM_BUSY_S:
            return


def find_program(name: str) -> str | None:
    """The path of a program; Debian keeps nginx in a directory that is not on everybody's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin")


def describe(cores: Cores) -> dict[str, str]:
    """What one must know of the machine and the programs to compare figures; labels and values as text."""
    shared = " (two threads of one physical core)" if cores.load in _siblings(cores.proxy) else ""
    pinning = f"proxy on core {cores.proxy}, load on core {cores.load}{shared}"
    return {
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores; {pinning}",
        "System": f"{_distribution()}, kernel {platform.release()} ({platform.machine()})",
        "Load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Python": f"{platform.python_version()}, aiohttp {version('aiohttp')}, uvloop {version('uvloop')}",
        "nginx": _first_line(find_program("nginx") or "nginx", "-v").removeprefix("nginx version: nginx/"),
        "wrk": _first_line("wrk", "-v").removeprefix("wrk ").partition(" [")[0],
        "Pointsman": f"{version('pointsman')}, commit {_first_line('git', 'describe', '--always', '--dirty')}",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _first_line(*command: str) -> str:
    """The first line that a program prints, on either stream; `unknown` if it doesn't know what it is asked."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return "unknown"
    if ran.stderr.startswith("fatal:"):  # git, outside a repository
        return "unknown"
    return next(iter((ran.stdout + ran.stderr).splitlines()), "unknown").strip()
