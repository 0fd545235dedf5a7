"""One request's attempt at its target."""

from functools import lru_cache
from urllib.parse import quote

from proxy.gateway.body import ModelRequest
from proxy.gateway.relay import relay
from proxy.gateway.request import Request
from proxy.gateway.response import Response
from proxy.routing import Resolution
from proxy.telemetry import Outcome
from proxy.upstream import Answer, Upstream
from proxy.wire import Call

# RFC 9110 §5.5: what may stand in a field value; other characters of a model id go percent-encoded.
_FIELD_VALUE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


class Forwarder:
    """Sends requests where their resolution says.

    Args:
        upstream: the connections to the providers.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def forward(
        self,
        request: Request,
        response: Response,
        call: Call,
        body: ModelRequest,
        resolution: Resolution,
        outcome: Outcome,
    ) -> None:
        """Send the request to the resolution's target and relay the answer.

        Raises `UnsupportedProtocolError` if the target's provider can't be asked this way, and `UpstreamError` if it
        gives no answer.
        """
        target = resolution.target
        attempt = outcome.begin(target)
        template = self._upstream.template(target, call)
        answer = await self._upstream.send(template, request.head, body.payload(target.model_id))
        try:
            attempt.head_arrived(answer.message.status)
            outcome.served_by = attempt
            await relay(answer, response, added_lines(answer, resolution, outcome), call, outcome)
        finally:
            answer.close()


def added_lines(answer: Answer, resolution: Resolution, outcome: Outcome) -> bytes:
    """What an answer says of its way here, as lines of its head."""
    target = resolution.target
    lines = _way_lines(target.provider_name, target.model_id, len(outcome.attempts), resolution.revision)
    if b"x-request-id" not in answer.message.head.values:
        return b"%bx-request-id: %b\r\n" % (lines, outcome.id.encode())
    return lines


@lru_cache(maxsize=1024)
def _way_lines(provider: str, model_id: str, attempts: int, revision: int) -> bytes:
    return (
        f"x-pointsman-provider: {provider}\r\n"
        f"x-pointsman-model: {quote(model_id, safe=_FIELD_VALUE)}\r\n"
        f"x-pointsman-attempts: {attempts}\r\n"
        f"x-pointsman-revision: {revision}\r\n"
    ).encode()
