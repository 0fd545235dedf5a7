"""What the kernel's files say."""

from benchmarks.machine import CoreTimes, Patience, parse_core_times, parse_cpu_list
from benchmarks.parts.memory import connections_within
from benchmarks.processes import parse_process_stat, parse_pss_bytes


def test_process_stat_survives_an_odd_command_name() -> None:
    """A command name with spaces and parentheses doesn't shift the fields (proc_pid_stat(5))."""
    stat = parse_process_stat("42 (a) b (c) S 1 40 41 0 -1 4194560 100 0 0 0 250 150 30 20 20 0 1 0 99 1000 10")

    assert (stat.session, stat.cpu_s, stat.reaped_children_cpu_s) == (41, 4.0, 0.5)


def test_core_times_are_those_of_the_cores_in_use() -> None:
    """Other cores, idle time and interrupts are left out; stolen time is kept apart."""
    stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 20 30 500 7 8 9 5 0 0\ncpu1 50 0 0 900 1 1 1 0 0 0\ncpu10 999 0 0 0 0 0 0 0 0 0"

    assert CoreTimes(2.0, 0.05) == parse_core_times(stat, (0, 1))


def test_cpu_list_takes_ranges_and_single_numbers() -> None:
    """The kernel writes the hardware threads of a core as `0-2,8` or `0`."""
    assert {0, 1, 2, 8} == parse_cpu_list("0-2,8\n")
    assert {3} == parse_cpu_list("3\n")


def test_memory_is_the_proportional_set_size() -> None:
    """Not the parts of it that follow, nor what is merely mapped."""
    rollup = "5605-7ffd ---p 00000000 00:00 0    [rollup]\nRss:  1772 kB\nPss:   562 kB\nPss_Dirty:  112 kB\n"

    assert parse_pss_bytes(rollup) == 562 * 1024


def test_connections_fit_into_the_limit_on_files() -> None:
    """A proxy needs two files for each stream, and some for itself."""
    assert connections_within(1_000_000, 10_000) == 10_000
    assert connections_within(20_000, 10_000) == 9_750


def test_patience_comes_to_an_end() -> None:
    """Noisy measurements are repeated while there is time left for it, and not more than so many times."""
    patience = Patience(total_s=10, once_s=1, tries=3)

    assert patience.allows_try(3)
    assert not patience.allows_try(4)
    patience.spend(10)
    assert not patience.allows_try(2)
