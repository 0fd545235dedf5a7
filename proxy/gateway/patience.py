"""How long the client waits, how often it has asked before, and what it is told when nobody could serve it.

The official SDKs try again by themselves, up to a count and within a time limit of their own, and say both in headers.
"""

import math
from collections.abc import Iterable
from typing import Final

from proxy.errors import Failure
from proxy.wire import Head

# Python's SDKs give httpx's read timeout, JavaScript's their own; both in seconds.
_WAITS: Final = (b"x-stainless-read-timeout", b"x-stainless-timeout")
_RETRIES: Final = b"x-stainless-retry-count"
# Both SDKs try twice by default; who has done so much oftener is not helped by another try.
_RETRIES_THAT_HELP: Final = 4
# https://github.com/anthropics/anthropic-sdk-python: what is longer isn't waited for.
_LONGEST_S: Final = 60
# The same request would fail the same way, or may have been served, and billed, already.
_NOT_WORTH_RETRYING: Final = frozenset(
    {Failure.UNAUTHORIZED, Failure.FORBIDDEN, Failure.NOT_FOUND, Failure.CONTEXT_LENGTH, Failure.TIMEOUT}
)


def client_waits_s(head: Head, own_header: str | None) -> float:
    """How long the client waits for the first byte of its answer, in seconds, as far as it says.

    It may say so in `own_header`, if there is one.
    """
    values = head.values
    if own_header is not None and (said := _number(values.get(own_header.lower().encode()))) is not None:
        return said
    for name in _WAITS:
        if name in values and (said := _number(values[name])) is not None:
            return said
    return math.inf


def is_retry_worthwhile(failures: Iterable[Failure], head: Head) -> bool:
    """Whether the client's own next try may go better (`x-should-retry`)."""
    asked = _number(head.values.get(_RETRIES)) or 0
    failures = set(failures)
    is_hopeless = Failure.TIMEOUT in failures or failures <= _NOT_WORTH_RETRYING
    return asked < _RETRIES_THAT_HELP and not is_hopeless


def retry_after_s(wait_s: float | None) -> int:
    """The value of `Retry-After`, given when the first target may be asked again."""
    return max(1, min(_LONGEST_S, math.ceil(wait_s or 1)))


def _number(value: bytes | None) -> float | None:
    try:
        said = float(value or b"")
    except ValueError:
        return None
    return said if 0 <= said < math.inf else None
