"""Names to addresses: looked up once for everybody, kept for a while, and for longer while the look-up fails."""

import asyncio
import socket
from collections.abc import Sequence
from itertools import count

from aiohappyeyeballs import AddrInfoType

from proxy.upstream.broken import BrokenError, Phase

# getaddrinfo doesn't tell how long a record lives; those of providers' front ends do for one to five minutes.
_FRESH_S = 60.0
# RFC 8767 §5, serving stale data: how long a look-up may hold up somebody for whom there are old addresses, how long
# until the next look-up after that, and until when old ones are good enough; there it is days, but hosts move.
_HOLD_UP_S = 1.8
_RETRY_S = 30.0
_STALE_S = 3600.0
# The system's resolver has limits of its own, but they can add up to minutes.
_LOOK_UP_S = 30.0


class Resolver:
    """The addresses of one name.

    Args:
        host: the name, or an address.
        port: what comes with each address.
    """

    __slots__ = ("_error", "_host", "_infos", "_look_up_at", "_port", "_stale_at", "_task", "_turns")

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._infos: Sequence[AddrInfoType] = ()
        self._look_up_at = self._stale_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._turns = count()

    async def addresses(self) -> list[AddrInfoType]:
        """All addresses, those of each family beginning with another one each time.

        Raises `BrokenError` if there are none. The caller limits the time.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now >= min(self._look_up_at, self._stale_at):
            if self._task is None:
                self._task = loop.create_task(self._look_up())
            hold_up_s = _HOLD_UP_S if now < self._stale_at else None
            # Unlike awaiting the task, this leaves it to the others when one who waits is cancelled.
            _, slow = await asyncio.wait((self._task,), timeout=hold_up_s)
            if slow:
                self._look_up_at = now + _RETRY_S
            if loop.time() >= self._stale_at:
                reason = f"could not be reached: the name {self._host} could not be looked up"
                raise BrokenError(reason, Phase.CONNECT) from self._error
        return self._in_turn()

    def expire(self) -> None:
        """Look the name up before the next connection: one that was tried did not come about."""
        self._look_up_at = 0.0

    def close(self) -> None:
        """End a look-up that is under way."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                self._infos = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # among them that of the time limit; no name at all is a UnicodeError
            self._error = error
            self._look_up_at = loop.time() + _RETRY_S
        else:
            self._look_up_at = loop.time() + _FRESH_S
            self._stale_at = self._look_up_at + _STALE_S
        self._task = None

    def _in_turn(self) -> list[AddrInfoType]:
        turn = next(self._turns)
        families: dict[int, list[AddrInfoType]] = {}
        for info in self._infos:
            families.setdefault(info[0], []).append(info)
        return [infos[(turn + n) % len(infos)] for infos in families.values() for n in range(len(infos))]
