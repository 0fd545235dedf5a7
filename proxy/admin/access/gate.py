"""Who somebody is: whoever has a token, whoever opened a session with one, or anybody where none is needed."""

import logging
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from aiohttp import hdrs, web

from proxy.admin.access.actor import Actor, Role
from proxy.admin.access.cookies import SESSION, Cookies
from proxy.admin.access.forms import Forms
from proxy.admin.access.guesses import Guesses
from proxy.admin.access.sessions import Sessions
from proxy.admin.access.tokens import Holder, Tokens
from proxy.config import Current, hash_token
from proxy.config.access import LOCAL
from proxy.errors import InvalidRequestError

_log = logging.getLogger("pointsman.admin")

Clock = Callable[[], float]


class UnauthorizedError(InvalidRequestError):
    """The request carries no token, or not the right one."""

    status = 401
    code = "unauthorized"


class TooManyGuessesError(InvalidRequestError):
    """Too many wrong tokens came from this address, or from all together."""

    status = 429
    code = "too_many_guesses"


class Visitor(NamedTuple):
    """Somebody at the gate.

    Attributes:
        actor: who they are; None for somebody unknown.
        is_bearer: whether the request itself carries the token, which no browser adds to a request by itself.
        has_session: whether a cookie says who they are, which browsers do add.
    """

    actor: Actor | None
    is_bearer: bool = False
    has_session: bool = False


class Gate:
    """Tells who a request comes from, and opens and ends sessions.

    Args:
        current: the settings in force, with the tokens.
        clock: tells the time in seconds from whenever, and never goes back.
    """

    def __init__(self, current: Current, clock: Clock) -> None:
        self._current = current
        self._clock = clock
        self._sessions = Sessions()
        self._guesses = Guesses()
        self.tokens = Tokens(current)
        self.cookies = Cookies(current)
        self.forms = Forms(self.cookies)

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """The names by which a browser may reach the plane, beside loopback ones; None: any."""
        hosts = self._current.settings.admin.hosts
        return hosts or None if self.tokens.are_needed else ()

    def visitor(self, request: web.Request) -> Visitor:
        """Who a request comes from. Raises `UnauthorizedError` or `TooManyGuessesError` for a wrong bearer token."""
        if not self.tokens.are_needed:
            return Visitor(Actor.of(request, LOCAL, Role.ADMIN))
        if authorization := request.headers.get(hdrs.AUTHORIZATION, ""):
            return Visitor(self._bearer(authorization, request), is_bearer=True)
        session_id = self.cookies.read(request, SESSION)
        token_hash = self._sessions.use(session_id, self._clock()) if session_id else None
        holder = self.tokens.holder_of(token_hash) if token_hash else None
        if holder is None:
            return Visitor(None)
        self.forms.bind(request, session_id)
        return Visitor(Actor.of(request, holder.name, holder.role), has_session=True)

    def knows_still(self, request: web.Request) -> bool:
        """Whether whoever sent a request that is being answered for long would still be let in."""
        if not self.tokens.are_needed:
            return True
        if authorization := request.headers.get(hdrs.AUTHORIZATION, ""):
            return self.tokens.holder(_token_in(authorization)) is not None
        token_hash = self._sessions.find(self.cookies.read(request, SESSION), self._clock())
        return token_hash is not None and self.tokens.holder_of(token_hash) is not None

    def check_token(self, request: web.Request, token: str, *, is_login: bool) -> Holder:
        """Whose a token is. Raises `UnauthorizedError` or `TooManyGuessesError`, and logs which address that was."""
        now, address = self._clock(), request.remote or ""
        if wait_s := self._guesses.wait_s(address, now, is_login=is_login):
            error = TooManyGuessesError(f"Too many wrong tokens. Try again in {ceil(wait_s)} s.")
            error.retry_after_s = ceil(wait_s)
            raise error
        if (holder := self.tokens.holder(token)) is None:
            self._guesses.count(address, hash_token(token), now)
            _log.warning("%s was refused at the admin plane: wrong token", address)
            raise UnauthorizedError("The admin token is wrong.")
        return holder

    def open_session(self, request: web.Request, holder: Holder) -> str:
        """Begin a session, in the place of the one that the browser had; gives its id."""
        self.end_session(request)
        return self._sessions.open(holder.hash, self._clock())

    def end_session(self, request: web.Request) -> None:
        """End the browser's session."""
        self._sessions.end(self.cookies.read(request, SESSION))

    def _bearer(self, authorization: str, request: web.Request) -> Actor:
        holder = self.check_token(request, _token_in(authorization), is_login=False)
        return Actor.of(request, holder.name, holder.role)


def _token_in(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthorizedError("The admin plane takes its token as `Authorization: Bearer TOKEN` only.")
    return token.strip()
