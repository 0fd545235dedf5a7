"""One request's way to a provider, and the answer's way back."""

from collections.abc import Awaitable
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from proxy.config import Current
from proxy.gateway.attempts import Chain
from proxy.gateway.body import BufferedBody, ModelRequest, read_at_once, read_request
from proxy.gateway.exchange import Exchange
from proxy.gateway.patience import client_waits_s
from proxy.gateway.relay import relay
from proxy.gateway.request import Request
from proxy.gateway.response import Response
from proxy.gateway.targets import Attempts
from proxy.routing import USUAL_OPTIONS, DynamicRoutingTable, Resolution
from proxy.telemetry import Outcome
from proxy.upstream import Answer
from proxy.wire import Head, parse_call

# RFC 9110 §5.5: what may stand in a field value; other characters of a model id go percent-encoded.
_FIELD_VALUE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


class Forwarder:
    """Sends requests where their models lead.

    Args:
        table: where that is.
        attempts: tries the targets.
        current: the settings in force: limits of bodies, and how clients tell how long they wait.
    """

    def __init__(self, table: DynamicRoutingTable, attempts: Attempts, current: Current) -> None:
        self._table = table
        self._attempts = attempts
        self._current = current

    async def forward(self, request: Request, response: Response, outcome: Outcome) -> None:
        """Send the request to the targets of its model, one after the other, and relay the first good answer.

        Raises an `InvalidRequestError` that says what is wrong with the request, `UnsupportedProtocolError` if no
        target's provider can be asked this way, and `UpstreamError` if none gives an answer.
        """
        call = parse_call(request.path, request.query)
        head, server = request.head, self._current.settings.server
        body = read_at_once(request, call, server) or await read_request(request, call, server)
        try:
            outcome.model = body.model
            resolution = self._table.settled.get(body.model) or await self._table.resolve(body.model, body.affinity)
            outcome.resolution = resolution
            waits_s = client_waits_s(head, server.deadline_header)
            can_hedge = isinstance(body, BufferedBody)
            chain = _Posting(self._attempts, call, resolution, head, outcome, waits_s, can_hedge)
            chain.body = body
            try:
                reply = await chain.reply()
            finally:
                if (options := resolution.options) is not USUAL_OPTIONS and options.shadow is not None:
                    self._attempts.shadows.mirror(options.shadow, call, head, body, resolution, outcome)
            try:
                await relay(reply, response, added_lines(reply, resolution, outcome), call, resolution.options, outcome)
            finally:
                reply.close(outcome.ending)
        finally:
            if not isinstance(body, BufferedBody):
                body.close()


class _Posting(Chain):
    """A request with a body.

    Attributes:
        body: what is sent; set right after the request was made.
    """

    body: ModelRequest

    def send(self, exchange: Exchange, head: Head, until: float, *, fresh: bool) -> Awaitable[Answer]:
        """See `Chain`."""
        template, payload = exchange.template, self.body.payload(exchange.target.model_id)
        return self._common.upstream.send(template, template.head(head, payload.length), payload, until, fresh)


def added_lines(reply: Exchange, resolution: Resolution, outcome: Outcome) -> bytes:
    """What an answer says of its way here, as lines of its head."""
    target = reply.target
    lines = _way_lines(target.provider_name, target.model_id, len(outcome.attempts), resolution.revision)
    values = reply.answer.message.head.values
    if b"x-request-id" not in values:
        lines += b"x-request-id: " + outcome.id.encode() + b"\r\n"
    if reply.advice is not None:
        should_retry, after_s = reply.advice
        if b"x-should-retry" not in values:
            lines += b"x-should-retry: true\r\n" if should_retry else b"x-should-retry: false\r\n"
        if b"retry-after" not in values and b"retry-after-ms" not in values:
            lines += b"Retry-After: %d\r\n" % after_s
    return lines


@lru_cache(maxsize=1024)
def _way_lines(provider: str, model_id: str, attempts: int, revision: int) -> bytes:
    return (
        f"x-pointsman-provider: {provider}\r\n"
        f"x-pointsman-model: {quote(model_id, safe=_FIELD_VALUE)}\r\n"
        f"x-pointsman-attempts: {attempts}\r\n"
        f"x-pointsman-revision: {revision}\r\n"
    ).encode()
