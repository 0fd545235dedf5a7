"""How the process deals with memory, once it is there to take traffic."""

import ctypes
import gc
from typing import Final

_OBJECTS_BETWEEN_COLLECTIONS: Final = 25_000
# The names and numbers of glibc's <malloc.h>.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 64 * 1024 * 1024
_MAPPED_BYTES: Final = 32 * 1024 * 1024


def tune_memory() -> None:
    """Spare the traffic what Python and the C library do with memory for programs of any kind."""
    _tune_garbage_collection()
    _keep_freed_memory()


def _tune_garbage_collection() -> None:
    """Look for cycles less often, and never among what lives as long as the process.

    A request leaves none behind, but the objects of hundreds under way would be looked through again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 20)


def _keep_freed_memory() -> None:
    """Keep some of what large bodies leave behind for the next ones, where the C library is glibc.

    It gives them back to the system, page by page, and gets them anew: a third of the work on a body of 10 MB, when
    there are several at a time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        # Told the one, it no longer finds out the other by itself: how much it takes of the system for one thing alone.
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
