"""Who asks something of the admin plane."""

from enum import StrEnum

import msgspec
from aiohttp import web


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


class Actor(msgspec.Struct, frozen=True):
    """Somebody who was let in.

    Attributes:
        name: the name of the token that they gave, or `local` where none is needed.
        role: what they may do.
        address: where their request came from; empty where that is not known.
    """

    name: str
    role: Role
    address: str = ""


_ACTOR = web.RequestKey("actor", Actor)


def let_in(request: web.Request, actor: Actor) -> None:
    """Note on a request whose it is: the guard's to say."""
    request[_ACTOR] = actor


def actor_of(request: web.Request) -> Actor:
    """Whose request it is; raises `KeyError` for one that the guard didn't let in."""
    return request[_ACTOR]
