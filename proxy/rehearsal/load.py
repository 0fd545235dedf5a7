"""Requests at a constant rate, as clients send them: however long the answers take."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import aiohttp

from proxy.wire import Preamble, Stage

# More than any answer of a straw provider takes; it bounds the requests under way as well, at so many times the rate.
_LONGEST_S = 30.0
_FAULT_BYTES = 300


class Sample(NamedTuple):
    """What became of one request.

    Attributes:
        began: when it was sent, by the monotonic clock.
        first_content_s: from then to the first content of its stream. Where there are fallbacks, a stream is held back
            so long; without any its first byte may come sooner, which is no use to anybody.
        provider: who served it.
        fault: what was wrong with the answer; None if it was whole.
    """

    began: float
    first_content_s: float
    provider: str
    fault: str | None


class Load:
    """Streams asked for at a constant rate.

    Args:
        origin: of the proxy, `http://HOST:PORT`.
        model: what they ask for.
        rate: requests a second.
        http: sends them.
        note: takes in what became of each.
    """

    def __init__(
        self, origin: str, model: str, rate: float, http: aiohttp.ClientSession, note: Callable[[Sample], None]
    ) -> None:
        self._url = f"{origin}/v1/chat/completions"
        self._body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Where am I?"}]}
        self._rate = rate
        self._http = http
        self._note = note
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until cancelled, then wait for the rest."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                task = asyncio.create_task(self.ask())
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
                due += 1 / self._rate
                await asyncio.sleep(due - loop.time())
        finally:
            await asyncio.gather(*self._under_way)

    async def ask(self) -> None:
        """Send one request, and note what became of it."""
        self._note(await self.send())

    async def send(self) -> Sample:
        """What became of one request, read to its end."""
        began, first_content_s, provider, fault = time.monotonic(), 0.0, "", None
        try:
            async with asyncio.timeout(_LONGEST_S), self._http.post(self._url, json=self._body) as response:
                provider = response.headers.get("x-pointsman-provider", "")
                preamble, body = Preamble(), b""
                while piece := await response.content.readany():
                    body += piece
                    if not first_content_s and preamble.feed(piece) is not Stage.PREAMBLE:
                        first_content_s = time.monotonic() - began
            if response.status != 200 or not body.endswith(b"data: [DONE]\n\n"):
                fault = f"{response.status} {body[-_FAULT_BYTES:]!r}"
        except (aiohttp.ClientError, TimeoutError) as error:
            fault = repr(error)
        return Sample(began, first_content_s, provider, fault)
