"""One request's attempt at its target."""

from functools import lru_cache
from urllib.parse import quote

from proxy.config import Protocol, ProtocolSettings, Provider, Timeouts
from proxy.errors import UnsupportedProtocolError
from proxy.gateway.body import ModelRequest
from proxy.gateway.relay import relay
from proxy.gateway.request import Request
from proxy.gateway.response import Response
from proxy.routing import Resolution, RoutingTarget
from proxy.telemetry import Outcome
from proxy.upstream import Answer, ProviderRequest, Upstream
from proxy.wire import Call

# RFC 9110 §5.5: what may stand in a field value; other characters of a model id go percent-encoded.
_FIELD_VALUE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
_PROTOCOL_NAMES = {Protocol.OPENAI: "OpenAI", Protocol.ANTHROPIC: "Anthropic", Protocol.GEMINI: "Gemini"}


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
        provider = self._upstream.provider(target.provider_name)
        protocol = spoken_protocol(provider, call)
        outcome.target = target
        outcome.attempts = 1
        answer = await self._upstream.send(
            provider,
            call.protocol,
            ProviderRequest(
                method=request.method,
                url=call.url(protocol.base_url, target.model_id),
                head=request.head,
                own_headers=target.overrides.headers if target.overrides else (),
                timeouts=time_limits(provider, target),
                payload=body.payload(target.model_id),
            ),
        )
        try:
            outcome.head_arrived()
            await relay(answer, response, added_lines(answer, resolution, outcome), call, outcome)
        finally:
            answer.close()


def spoken_protocol(provider: Provider, call: Call) -> ProtocolSettings:
    """How to ask this provider; raises `UnsupportedProtocolError` if it doesn't speak the request's protocol."""
    settings = provider.protocols.get(call.protocol)
    if settings is None:
        spoken = " and ".join(_PROTOCOL_NAMES[protocol] for protocol in provider.protocols)
        message = (
            f"The route leads to provider `{provider.name}`, which doesn't speak the "
            f"{_PROTOCOL_NAMES[call.protocol]} protocol of this request, only {spoken}."
        )
        raise UnsupportedProtocolError(message, param="model")
    if settings.only and call.operation not in settings.only:
        message = (
            f"The route leads to provider `{provider.name}`, which doesn't offer `{call.operation}` in the "
            f"{_PROTOCOL_NAMES[call.protocol]} protocol, only {', '.join(settings.only)}."
        )
        raise UnsupportedProtocolError(message, param="model")
    return settings


def time_limits(provider: Provider, target: RoutingTarget) -> Timeouts:
    """The endpoint's own time limits, or else its provider's."""
    return (target.overrides and target.overrides.timeouts) or provider.timeouts


def added_lines(answer: Answer, resolution: Resolution, outcome: Outcome) -> bytes:
    """What an answer says of its way here, as lines of its head."""
    target = resolution.target
    lines = _way_lines(target.provider_name, target.model_id, outcome.attempts, resolution.revision)
    if b"x-request-id" not in answer.head.values:
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
