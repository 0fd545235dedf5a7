"""The sessions of browsers that logged in; time is passed in.

A session is a random id, which only the browser has: here its hash is kept, with the hash of the token that it was
opened with. So a session ends with its token, and what is kept opens nothing.
"""

import secrets
from dataclasses import dataclass

from proxy.config import hash_token

IDLE_S = 3600.0
"""A session ends when it wasn't used for so long."""
AGE_S = 12 * 3600.0
"""It ends at this age, however much it is used: about a shift."""
MAX_PER_TOKEN = 32
"""More of one token end the one that wasn't used for longest. So their number is bounded by that of the tokens."""


@dataclass(slots=True)
class _Session:
    token_hash: str
    began: float
    used: float

    def is_over(self, now: float) -> bool:
        return now - self.used >= IDLE_S or now - self.began >= AGE_S


class Sessions:
    """The sessions there are, the one that wasn't used for longest first."""

    def __init__(self) -> None:
        self._by_hash: dict[str, _Session] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def open(self, token_hash: str, now: float) -> str:
        """Begin a session of whoever has the token with this hash; gives its id, which is always a new one."""
        self._by_hash = {key: each for key, each in self._by_hash.items() if not each.is_over(now)}
        same = [key for key, each in self._by_hash.items() if each.token_hash == token_hash]
        for key in same[: max(0, len(same) - MAX_PER_TOKEN + 1)]:
            del self._by_hash[key]
        session_id = secrets.token_urlsafe(32)
        self._by_hash[hash_token(session_id)] = _Session(token_hash, now, now)
        return session_id

    def use(self, session_id: str, now: float) -> str | None:
        """The hash of the token that a session was opened with, unless there is no such session any more."""
        token_hash = self.find(session_id, now)
        session = self._by_hash.pop(key := hash_token(session_id), None)
        if session is not None and token_hash is not None:
            session.used = now
            self._by_hash[key] = session
        return token_hash

    def find(self, session_id: str, now: float) -> str | None:
        """The same, which doesn't count as use."""
        session = self._by_hash.get(hash_token(session_id))
        return None if session is None or session.is_over(now) else session.token_hash

    def end(self, session_id: str) -> None:
        """End a session, if there is one of this id."""
        self._by_hash.pop(hash_token(session_id), None)
