"""Who may use the admin plane, and how it is reached."""

import hashlib
import re
from enum import StrEnum
from typing import NewType

import msgspec

from proxy.config.address import Address
from proxy.config.secret import Secret

TokenName = NewType("TokenName", str)
TokenHash = NewType("TokenHash", str)
HostName = NewType("HostName", str)

ADMIN = "admin"
"""The name of whoever has `admin.token`."""
LOCAL = "local"
"""The name of whoever comes where no token is needed."""

_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


class Role(StrEnum):
    """What somebody may do; each may do what those before it may."""

    VIEWER = "viewer"
    """See everything that the plane shows."""
    OPERATOR = "operator"
    """Change routes, and take providers out of service."""
    ADMIN = "admin"
    """Whatever else there is, such as reloading the configuration."""

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what `other` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


class NamedToken(msgspec.Struct, frozen=True):
    """Somebody's own token, of which only the hash is kept."""

    name: TokenName
    """What history and audit trail call whoever has it."""
    role: Role
    hash: TokenHash
    """As `hash_token` gives it."""


class Admin(msgspec.Struct, frozen=True):
    """The admin plane: its tokens, and how it is reached."""

    token: Secret = Secret("")
    """One with the role `admin`, whose holder is called so."""
    tokens: tuple[NamedToken, ...] = ()
    listen: Address | None = None
    """A listener of its own; None: the data plane's."""
    hosts: tuple[HostName, ...] = ()
    """The host names by which browsers may reach it beside loopback ones; none: any, where a token is needed."""
    secure_cookies: bool = False
    """Whether browsers reach it by https alone, which something before the proxy speaks."""
    audit: str | None = None
    """The file that every change is written to before it is in force, or `stdout`; None: none."""

    @property
    def needs_token(self) -> bool:
        """Whether nobody may come in without a token."""
        return bool(self.token or self.tokens)


def hash_token(token: str) -> str:
    """What the config file keeps of a token.

    A plain hash is right for what nobody can guess: salt and stretching make guessing slow, and there is nothing to
    be gained by guessing among 2**256.
    """
    return f"sha256:{hashlib.sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()}"


def token_name(text: str) -> str:
    """The text, if it can name a token's holder; raises `ValueError`, saying what was expected."""
    if not _NAME.fullmatch(text) or text in {ADMIN, LOCAL}:
        raise ValueError(
            f"a name of at most 64 letters, digits, `.`, `_`, `-` and `@`, other than `{ADMIN}` and `{LOCAL}`"
        )
    return text


def token_hash(text: str) -> str:
    """The text, if it is a token's hash; raises `ValueError`, saying what was expected."""
    if not _HASH.fullmatch(text.lower()):
        raise ValueError("sha256: and 64 hexadecimal digits, as `pointsman token NAME` prints it")
    return text.lower()


def host_name(text: str) -> str:
    """The text in lower case, if it is a host's name or address; raises `ValueError`, saying what was expected."""
    if not _HOST.fullmatch(text):
        raise ValueError("a host's name or address without a port, such as proxy.example.com or [2001:db8::1]")
    return text.lower()
