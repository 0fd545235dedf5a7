"""The machine under the benchmark: its cores, who spends CPU time on them, and how a report describes it."""

import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmarks.errors import BenchmarkError
from benchmarks.processes import TICKS_PER_S
from benchmarks.program import find_program

_CALM_WINDOW_S = 0.3
_CALM_BUSY_S = 0.04


class Cores(NamedTuple):
    """Which core runs what."""

    proxy: int
    load: int
    """Shared by the upstream, what makes the load, and the benchmark itself."""


class CoreTimes(NamedTuple):
    """CPU time since boot, in seconds."""

    busy_s: float
    """Spent by processes; interrupts are left out, since the kernel may count the load's own network work there."""
    stolen_s: float
    """Taken by the hypervisor for others."""


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
    return CoreTimes(busy / TICKS_PER_S, sum(fields[7] for fields in ticks) / TICKS_PER_S)


class Patience:
    """Waits for a calm machine, and allows noisy measurements to be repeated, as long as there is time for it.

    Args:
        total_s: for the whole run.
        once_s: for a single wait.
        tries: for one measurement.
    """

    def __init__(self, total_s: float, once_s: float, tries: int) -> None:
        self._left_s = total_s
        self._once_s = once_s
        self._tries = tries

    def allows_try(self, number: int) -> bool:
        """Whether a measurement may be made for the `number`th time."""
        return number <= self._tries and self._left_s > 0

    def wait_until_calm(self, cores: Iterable[int]) -> None:
        """Return as soon as next to nothing runs on these cores, or the time is up."""
        began_s = time.monotonic()
        limit_s = min(self._once_s, self._left_s)
        while time.monotonic() < began_s + limit_s:
            before_s = core_times(cores).busy_s
            time.sleep(_CALM_WINDOW_S)
            if core_times(cores).busy_s - before_s < _CALM_BUSY_S:
                break
        self.spend(time.monotonic() - began_s)

    def spend(self, secs: float) -> None:
        """Take so much off the time that is left."""
        self._left_s -= secs


def raise_file_limit() -> int:
    """Let this process, and those that it starts, have as many files open as they may; gives the number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


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
