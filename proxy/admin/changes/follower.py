"""What is done at a routing table in time, and once it changes: its owner, and how it waits."""

import asyncio
import logging

from proxy.errors import ProxyError
from proxy.routing import Change, DynamicRoutingTable

_log = logging.getLogger("pointsman.admin")

# The wall clock can be set while it is waited for: it is looked at this often.
LONGEST_WAIT_S = 30.0
_SHORTEST_WAIT_S = 0.02
RETRY_S = 5.0


class Follower:
    """Does what is due; an async context manager that owns the task which does it.

    A refusal, or a fault of ours, doesn't end it: what is due waits a little.

    Args:
        table: looked at anew once it changes.
        due: what it does, as the beginning of a log line.
    """

    def __init__(self, table: DynamicRoutingTable, due: str) -> None:
        self._table = table
        self._due = due
        self._is_due_anew = asyncio.Event()

    async def act(self) -> float:
        """Do what is due; in how many seconds to look again, if the table doesn't change before."""
        raise NotImplementedError

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()

        def look_again(_change: Change) -> None:
            # A program may change the table from a thread of its own, or after the end.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._is_due_anew.set)

        self._table.subscribe(look_again)
        self._task = asyncio.create_task(self._run())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._is_due_anew.clear()
            wait_s = await self._act_or_wait()
            try:
                async with asyncio.timeout(max(min(wait_s, LONGEST_WAIT_S), _SHORTEST_WAIT_S)):
                    await self._is_due_anew.wait()
            except TimeoutError:
                pass

    async def _act_or_wait(self) -> float:
        try:
            return await self.act()
        except ProxyError as error:
            _log.error("%s waits: %s", self._due, ascii(error.message))
        except Exception:  # noqa: BLE001 - a fault of ours must not end all that is due later
            _log.exception("%s waits", self._due)
        return RETRY_S
