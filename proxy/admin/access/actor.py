"""Who asks something of the admin plane."""

from typing import Self

import msgspec
from aiohttp import web

from proxy.config import Role

__all__ = ["Actor", "Role", "actor_of", "known_actor", "recognise"]


_LONGEST_LINE = 1_000


class Actor(msgspec.Struct, frozen=True):
    """Somebody who asks.

    Attributes:
        name: the name of the token that they gave, or `local` where none is needed.
        role: what they may do.
        address: where their request came from; empty where that is not known.
        asked: the method and path of their request; empty for what happens by itself.
    """

    name: str
    role: Role
    address: str = ""
    asked: str = ""

    @classmethod
    def of(cls, request: web.Request, name: str, role: Role) -> Self:
        """Whoever sent a request, known by this name."""
        return cls(name, role, request.remote or "", f"{request.method} {request.path}"[:_LONGEST_LINE])


_ACTOR = web.RequestKey("actor", Actor)


def recognise(request: web.Request, actor: Actor) -> None:
    """Note on a request whose it is, whether or not they may ask it: the guard's to say."""
    request[_ACTOR] = actor


def actor_of(request: web.Request) -> Actor:
    """Whose request it is; raises `KeyError` for one of somebody unknown."""
    return request[_ACTOR]


def known_actor(request: web.Request) -> Actor | None:
    """The same, or None for somebody unknown."""
    return request.get(_ACTOR)
