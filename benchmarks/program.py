"""Programs that the benchmark needs: found on this machine, or compiled for the run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.errors import BenchmarkError

_PACKAGES = {"wrk": "wrk", "nginx": "nginx-light", "gcc": "gcc"}
"""What must be installed, and the Debian package that has it."""


def find_program(name: str) -> str | None:
    """The path of a program; Debian keeps nginx in a directory that is not on everybody's PATH."""
    directories = [os.environ.get("PATH", os.defpath), "/usr/sbin", str(Path(sys.executable).parent)]
    return shutil.which(name, path=os.pathsep.join(directories))


def require_programs() -> None:
    """Raise `BenchmarkError` if a program that the benchmark runs is not installed."""
    missing = [name for name in _PACKAGES if find_program(name) is None]
    if missing:
        packages = " ".join(_PACKAGES[name] for name in missing)
        raise BenchmarkError(
            f"{', '.join(missing)} not found: apt-get install --yes --no-install-recommends {packages}"
        )


def compile_c(source: Path, directory: Path) -> Path:
    """The program made of one C file, in `directory`.

    Raises:
        BenchmarkError: it doesn't compile.
    """
    binary = directory / source.stem
    command = ["gcc", "-O2", "-o", str(binary), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if built.returncode != 0:
        raise BenchmarkError(f"{source.name} does not compile: {built.stderr.strip()}")
    return binary
