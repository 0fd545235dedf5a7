"""Follows the events of a running proxy for as long as somebody looks, through lost connections and restarts."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from proxy.cli.admin_api import AdminApi, unreachable
from proxy.cli.refusals import refusal_of
from proxy.cli.terminal import Failure

# A comment fills every silence of 15 s.
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5, sock_read=40)
_PAUSE_S = 1.0
# Readings of a thousand routes and endpoints are a quarter of it.
_LONGEST_EVENT = 4 * 1024 * 1024


class ServerEvent(NamedTuple):
    """One event; `data` is JSON."""

    kind: str
    data: bytes


class Lost(NamedTuple):
    """The connection broke, and is being sought anew."""

    reason: str


class _BrokenError(Exception):
    """The stream can't be read on from here."""


async def follow(api: AdminApi, kinds: str) -> AsyncIterator[ServerEvent | Lost]:
    """The events of these kinds, with commas between, without end.

    A connection that breaks, or that the proxy ends, goes on with the event behind the last. Raises `Failure` if the
    proxy can't be reached to begin with, or refuses.
    """
    last_id = ""
    has_begun = False
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        while True:
            try:
                async for event, event_id in _connection(session, api, kinds, last_id):
                    has_begun, last_id = True, event_id or last_id
                    yield event
            except ValueError:  # such as aiohttp's InvalidURL
                message = f"{api.url} is no URL of a proxy: expected one such as http://127.0.0.1:8787."
                raise Failure(message) from None
            except (aiohttp.ClientError, TimeoutError, _BrokenError) as error:
                if not has_begun:
                    raise Failure(str(error)) if isinstance(error, _BrokenError) else unreachable(api.url) from None
                yield Lost(str(error) or "no answer in time")
            await asyncio.sleep(_PAUSE_S)


async def _connection(
    session: aiohttp.ClientSession, api: AdminApi, kinds: str, last_id: str
) -> AsyncIterator[tuple[ServerEvent, str]]:
    """The events of one connection with their ids, until it ends."""
    url = URL(f"{api.url}/admin/events?{urlencode({'kinds': kinds})}", encoded=True)
    headers = {**api.headers, "Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        if response.status != 200:
            refusal = refusal_of(response.status, await response.read(), api.url, has_token="Authorization" in headers)
            if response.status >= 500:  # too many listen, or it is stopping
                raise _BrokenError(refusal.message)
            raise refusal
        if response.content_type != "text/event-stream":
            raise Failure(f"What answers at {api.url} is not a proxy's admin API.")
        buffer = bytearray()
        async for piece in response.content.iter_any():
            buffer += piece
            *blocks, rest = buffer.split(b"\n\n")
            buffer = bytearray(rest)
            if len(buffer) > _LONGEST_EVENT:
                raise _BrokenError(f"An event was longer than {_LONGEST_EVENT} bytes.")
            for block in blocks:
                if (read := _read(bytes(block))) is not None:
                    yield read


def _read(block: bytes) -> tuple[ServerEvent, str] | None:
    """One event and its id; None for a comment."""
    fields = dict(line.partition(b": ")[::2] for line in block.split(b"\n"))
    if b"data" not in fields:
        return None
    kind, event_id = fields.get(b"event", b"message"), fields.get(b"id", b"")
    return ServerEvent(kind.decode(errors="replace"), fields[b"data"]), event_id.decode("ascii", "ignore")
