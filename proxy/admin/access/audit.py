"""The audit trail: a line of JSON for each change, accepted or refused, and for each login, on disk before the answer.

What can't be written is not done: so whoever reads the trail knows of all that was.
"""

import asyncio
import errno
import logging
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from proxy.admin.access.actor import Actor, Role, known_actor
from proxy.admin.access.origins import SAFE_METHODS
from proxy.admin.changes.views import logged
from proxy.config import Current
from proxy.errors import ProxyError
from proxy.routing import Change

_log = logging.getLogger("pointsman.admin")

STDOUT = "stdout"
MOST_WAITING = 1_000
"""Lines that may wait for the disk; more are refused."""
LONGEST_WAIT_S = 5.0
_LONGEST_TEXT = 500
_NOBODY = ""
# Of strangers, since anybody can be refused as often as they like: so many lines at once, then one each time.
_STRANGERS_BURST, _STRANGERS_EVERY_S = 100, 1.0


class AuditError(ProxyError):
    """The audit trail can't be written, so nothing was done."""

    status = 503
    code = "audit_unavailable"

    def __init__(self, why: str) -> None:
        super().__init__(f"The audit trail can't be written ({why}), so nothing was changed. See admin.audit.")


class AuditTrail:
    """Writes it, wherever the settings say; nothing is written where they don't.

    Args:
        current: the settings in force.
        clock: tells the time in seconds from whenever, and never goes back.
    """

    def __init__(self, current: Current, clock: Callable[[], float]) -> None:
        self._current = current
        self._clock = clock
        self._turn = asyncio.Lock()
        self._waiting: list[bytes] = []
        self._writing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._strangers_whole_at = 0.0
        self._omitted = 0

    async def write(self, actor: Actor, change: Change) -> None:
        """Write a change that is about to be made; raises `AuditError` if that can't be done."""
        told = logged(change)
        await self.note(
            actor,
            told.action,
            reason=told.reason,
            revision=told.revision,
            routes=told.routes,
            drains=told.drains,
        )

    async def note(self, actor: Actor, action: str, *, outcome: str = "accepted", **more: object) -> None:
        """Write what somebody does or may not do; raises `AuditError` if that can't be done.

        Args:
            actor: who.
            action: what.
            outcome: `accepted`, `begun` or `refused`.
            more: whatever else is to be told; None is not.
        """
        if self._current.settings.admin.audit is None:
            return
        line = {
            "time": datetime.now(UTC),
            "actor": actor.name or None,
            "role": actor.role if actor.name != _NOBODY else None,
            "address": actor.address,
            "action": action,
            "request": actor.asked,
            "outcome": outcome,
            **{key: value for key, value in more.items() if value is not None},
        }
        if self._omitted:
            line["omitted"], self._omitted = self._omitted, 0
        await self._append(msgspec.json.encode(line) + b"\n")

    async def tell(self, actor: Actor, action: str, *, outcome: str = "accepted", **more: object) -> None:
        """Write what has happened already; that it can't be written is told by the log alone."""
        try:
            await self.note(actor, action, outcome=outcome, **more)
        except AuditError as error:
            _log.error("What was %s is not in the audit trail: %s", outcome, error.message)

    async def refused(self, request: web.Request, status: int, message: str | None) -> None:
        """Write that a request was refused, with the reason if it is known."""
        actor = known_actor(request)
        if actor is None:
            if not self._may_stranger():
                self._omitted += 1
                return
            actor = Actor.of(request, _NOBODY, Role.VIEWER)
        found = request.match_info.http_exception is None
        name = request.match_info.handler.__name__.removesuffix("_route") if found else "nothing"
        refusal = None if message is None else message[:_LONGEST_TEXT]
        await self.tell(actor, name, outcome="refused", status=status, refusal=refusal)

    async def close(self) -> None:
        """Let what is being written come to its end, if it does soon."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LONGEST_WAIT_S)

    def _may_stranger(self) -> bool:
        now = self._clock()
        self._strangers_whole_at = max(self._strangers_whole_at, now)
        if self._strangers_whole_at - now > (_STRANGERS_BURST - 1) * _STRANGERS_EVERY_S:
            return False
        self._strangers_whole_at += _STRANGERS_EVERY_S
        return True

    async def _append(self, line: bytes) -> None:
        """Write a line with all others that wait: one fsync is enough for them."""
        if len(self._waiting) >= MOST_WAITING:
            raise AuditError(f"{MOST_WAITING} lines wait to be written")
        self._waiting.append(line)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting())
            self._tasks.add(self._writing)
            self._writing.add_done_callback(self._done)
        try:
            async with asyncio.timeout(LONGEST_WAIT_S):
                await asyncio.shield(self._writing)
        except TimeoutError:
            raise AuditError(f"it took longer than {LONGEST_WAIT_S:g} s") from None
        except OSError as error:
            _log.error("The audit trail can't be written: %s", error)
            raise AuditError(error.strerror or type(error).__name__) from error

    async def _write_waiting(self) -> None:
        async with self._turn:
            lines, self._waiting, self._writing = self._waiting, [], None
            if (place := self._current.settings.admin.audit) is not None:
                await asyncio.to_thread(_write, place, b"".join(lines))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits for it hears of it


def build_witness(trail: AuditTrail) -> Middleware:
    """The middleware that writes every refusal of a request that would have changed something.

    Args:
        trail: where to.
    """

    @web.middleware
    async def witness(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method in SAFE_METHODS:
            return await handler(request)
        try:
            response = await handler(request)
        except AuditError:
            raise
        except ProxyError as error:
            await trail.refused(request, error.status, error.message)
            raise
        except web.HTTPClientError as error:
            await trail.refused(request, error.status, None)
            raise
        if response.status >= 400:
            await trail.refused(request, response.status, None)
        return response

    return witness


def _write(place: str, lines: bytes) -> None:
    """Append lines and wait until they are on disk; raises `OSError`.

    The file is opened anew each time, so that one that was moved away is followed by a new one.
    """
    if place == STDOUT:
        _write_all(1, lines)
        _sync(1)
        return
    # O_NONBLOCK: a pipe, which may make whoever opens it wait, is refused like whatever else keeps nothing.
    file = os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        size = status.st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            lines = b"\n" + lines  # a line that was broken off stays by itself
        _write_all(file, lines)
        _sync(file)
    finally:
        os.close(file)
    if not size:
        _sync_directory(place)


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _sync(file: int) -> None:
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EROFS, errno.ENOTSUP}:  # a pipe or terminal keeps nothing
            raise


def _sync_directory(place: str) -> None:
    """Let a new file still be there after a power cut."""
    directory = os.open(Path(place).parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _sync(directory)
    finally:
        os.close(directory)
