"""What the process does with memory, seen from the system."""

import platform
import subprocess
import sys

import pytest

# Each round takes what four large bodies take at a time, and leaves it; faults tell what comes from the system anew.
ROUNDS = """
import resource
from proxy.memory import tune_memory

def faults():
    bodies = [bytearray(10_000_000) for _ in range(4)]
    bodies.clear()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

tune_memory()
counts = [faults() for _ in range(12)]
print(counts[-1] - counts[1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")
def test_memory_of_large_bodies_is_kept_for_the_next() -> None:
    """Ten rounds would take a hundred thousand pages from the system; what was freed serves for all of them."""
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)

    assert int(done.stdout) < 1_000
