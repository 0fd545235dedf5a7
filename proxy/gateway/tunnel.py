"""The WebSocket of `GET /v1/realtime?model=`: opened at the provider, then its bytes go both ways as they are.

The handshake is the client's own, so whatever the two agree upon (subprotocol, compression) is theirs, messages and
close codes pass through unread, and a refusal is the provider's own answer.
"""

from collections.abc import Awaitable
from functools import partial
from math import inf
from typing import Final

from proxy.errors import NotFoundError
from proxy.gateway.attempts import Chain
from proxy.gateway.both_ways import tunnel
from proxy.gateway.exchange import Exchange
from proxy.gateway.forwarder import added_lines
from proxy.gateway.relay import relay
from proxy.gateway.request import Request
from proxy.gateway.response import Response
from proxy.gateway.targets import Attempts
from proxy.routing import DynamicRoutingTable
from proxy.telemetry import Outcome
from proxy.upstream import NOTHING, Answer
from proxy.wire import NOT_RETURNED, Head, ModelPlace, parse_call

# In a browser, where it can set no header, OpenAI's SDK hands over its key as a subprotocol.
_CREDENTIAL_SUBPROTOCOL: Final = b"openai-insecure-api-key."
_SWITCH: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


class Tunneller:
    """Connects clients with providers.

    Args:
        table: where models lead.
        attempts: tries the targets.
    """

    def __init__(self, table: DynamicRoutingTable, attempts: Attempts) -> None:
        self._table = table
        self._attempts = attempts

    async def connect(self, request: Request, response: Response, outcome: Outcome) -> None:
        """Connect the client with the target of the model that it names, until either side ends it.

        Raises `NotFoundError` if there is no WebSocket at its path, `UnknownModelError`, and `UpstreamError` if the
        provider gives no answer.
        """
        call = parse_call(request.path, request.query)
        if call.place is not ModelPlace.QUERY or call.model is None:
            raise NotFoundError("There is a WebSocket only at /v1/realtime?model=….")
        outcome.model = call.model
        resolution = await self._table.resolve(call.model, partial(_affinity, request))
        outcome.resolution = resolution
        head = _without_credential(request.head)
        reply = await _Handshake(self._attempts, call, resolution, head, outcome, inf, can_hedge=False).reply()
        answer = reply.answer
        try:
            added = added_lines(reply, resolution, outcome)
            if not answer.message.has_switched:
                await relay(reply, response, added, call, resolution.options, outcome)
                return
            outcome.served_by = reply.record
            outcome.status = answer.message.status
            lines = answer.message.head.lines_without(NOT_RETURNED) + _SWITCH + added
            response.raw(b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n" % lines)
            await tunnel(request, response, answer, outcome)
        finally:
            reply.close(outcome.ending)


class _Handshake(Chain):
    """A request for a WebSocket."""

    def send(self, exchange: Exchange, head: Head, until: float, *, fresh: bool) -> Awaitable[Answer]:
        """See `Chain`."""
        template = exchange.template
        return self._common.upstream.send(template, template.handshake(head), NOTHING, until, fresh, may_switch=True)


def _affinity(request: Request, header: str | None) -> str:
    """What tells which requests belong together: the route's header; there is no body to go by."""
    return "" if header is None else request.head.field(header)


def _without_credential(head: Head) -> Head:
    """The head of a handshake without the client's key among the subprotocols that it offers."""
    return Head.of(
        [
            (plain, name, _other_subprotocols(value) if plain == b"sec-websocket-protocol" else value)
            for plain, name, value in head.fields
        ]
    )


def _other_subprotocols(offered: bytes) -> bytes:
    names = (name.strip() for name in offered.split(b","))
    return b", ".join(name for name in names if not name.startswith(_CREDENTIAL_SUBPROTOCOL))
