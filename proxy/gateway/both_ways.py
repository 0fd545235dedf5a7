"""What goes through an open WebSocket: bytes, both ways, as they are."""

import asyncio

from proxy.gateway.request import Request
from proxy.gateway.response import Response
from proxy.telemetry import Ending, Outcome
from proxy.upstream import Answer


async def tunnel(request: Request, response: Response, answer: Answer, outcome: Outcome) -> None:
    """Pass bytes both ways until the provider ends it; the client's end cancels this."""
    provider = _FromProvider(answer, response, outcome)
    sending = asyncio.create_task(_to_provider(request, answer))
    sending.add_done_callback(lambda _: provider.close(None))
    try:
        await provider.over
        outcome.ending = Ending.COMPLETE
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    response.cut()


async def _to_provider(request: Request, answer: Answer) -> None:
    """Send what the client sends; it can fail only by the client's silence, which ends the tunnel."""
    while piece := await request.read(answer.timeouts.websocket_idle_s):
        await answer.write(piece)


class _FromProvider:
    """Passes on what the provider sends, until it has `over`."""

    def __init__(self, answer: Answer, response: Response, outcome: Outcome) -> None:
        self._response = response
        self._outcome = outcome
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        response.source = answer
        answer.pour(self, answer.timeouts.websocket_idle_s)

    def write(self, data: bytes) -> None:
        """Pass on the next bytes."""
        self._response.raw(data)
        self._outcome.body_bytes += len(data)

    def close(self, _: BaseException | None) -> None:
        """The provider ended it, or broke off: the client sees which, for a WebSocket says so before it ends."""
        if not self.over.done():
            self.over.set_result(None)
