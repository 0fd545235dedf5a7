"""Whose a token is."""

import hmac
from collections.abc import Iterator
from typing import NamedTuple

from proxy.config import Current, Role, hash_token
from proxy.config.access import ADMIN


class Holder(NamedTuple):
    """Who has a token.

    Attributes:
        name: what they are called.
        role: what they may do.
        hash: their token's.
    """

    name: str
    role: Role
    hash: str


class Tokens:
    """The tokens in force: those of the newest settings.

    Args:
        current: the settings in force.
    """

    def __init__(self, current: Current) -> None:
        self._current = current

    @property
    def are_needed(self) -> bool:
        """Whether nobody may come in without one; where nobody needs one, the plane is bound to loopback."""
        return self._current.settings.admin.needs_token

    def holder(self, token: str) -> Holder | None:
        """Whose a token is; None if it is nobody's."""
        return self.holder_of(hash_token(token))

    def holder_of(self, given: str) -> Holder | None:
        """The same by the token's hash. Every token is compared, each in constant time, wherever it is found."""
        found = None
        for holder in self._holders():
            if hmac.compare_digest(holder.hash, given):
                found = holder
        return found

    def _holders(self) -> Iterator[Holder]:
        admin = self._current.settings.admin
        if admin.token:
            yield Holder(ADMIN, Role.ADMIN, hash_token(admin.token.reveal()))
        for each in admin.tokens:
            yield Holder(each.name, each.role, each.hash)
