"""How often a token may be guessed; time is passed in.

Nobody guesses 256 bits; but `admin.token` is whatever somebody wrote there.
"""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

BURST = 10
"""Wrong tokens from one address at once."""
EVERY_S = 6.0
"""One more each time that this has passed."""
BURST_OVERALL = 100
EVERY_OVERALL_S = 0.5
"""The same for all addresses together. It holds for logins alone: else strangers could keep programs out."""
MAX_ADDRESSES = 10_000
"""Of more, the one that guessed longest ago is forgotten."""


class _Guesser(NamedTuple):
    """An address that gave wrong tokens: when its allowance will be whole again, and the last token's hash."""

    whole_at: float
    last: str


class Guesses:
    """The wrong tokens that were given of late."""

    def __init__(self) -> None:
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()
        self._whole_at = 0.0

    def __len__(self) -> int:
        return len(self._guessers)

    def wait_s(self, address: str, now: float, *, is_login: bool) -> float:
        """How long until another token may be tried from this address; 0 if now."""
        guesser = self._guessers.get(_neighbourhood(address))
        of_address = 0.0 if guesser is None else guesser.whole_at - now - (BURST - 1) * EVERY_S
        overall = self._whole_at - now - (BURST_OVERALL - 1) * EVERY_OVERALL_S if is_login else 0.0
        return max(0.0, of_address, overall)

    def count(self, address: str, token_hash: str, now: float) -> None:
        """A wrong token was given. The same one again is no guess, but a program that wasn't told of the new one."""
        key = _neighbourhood(address)
        guesser = self._guessers.pop(key, _Guesser(now, ""))
        if guesser.last != token_hash:
            guesser = _Guesser(max(guesser.whole_at, now) + EVERY_S, token_hash)
            self._whole_at = max(self._whole_at, now) + EVERY_OVERALL_S
        self._guessers[key] = guesser
        if len(self._guessers) > MAX_ADDRESSES:
            self._guessers.popitem(last=False)


def _neighbourhood(address: str) -> str:
    """The address itself; of IPv6 its /64, of which whoever has one address mostly has all."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or found.packed[:8].hex())
