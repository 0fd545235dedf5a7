"""One request's attempt at its target."""

from collections.abc import Sequence
from urllib.parse import quote

from aiohttp import web

from proxy.config import Protocol, ProtocolSettings, Provider, Server, Timeouts
from proxy.errors import UnsupportedProtocolError
from proxy.gateway.body import ModelRequest
from proxy.gateway.relay import Relay
from proxy.routing import Resolution, RoutingTarget
from proxy.telemetry import Outcome
from proxy.upstream import ProviderRequest, Upstream
from proxy.wire import Call, request_headers

# RFC 9110 §5.5: what may stand in a field value; other characters of a model id go percent-encoded.
_FIELD_VALUE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
_PROTOCOL_NAMES = {Protocol.OPENAI: "OpenAI", Protocol.ANTHROPIC: "Anthropic", Protocol.GEMINI: "Gemini"}


class Forwarder:
    """Sends requests where their resolution says.

    Args:
        upstream: the connections to the providers.
        limits: the server's limits.
    """

    def __init__(self, upstream: Upstream, limits: Server) -> None:
        self._upstream = upstream
        self._limits = limits

    async def forward(
        self, request: web.Request, call: Call, body: ModelRequest, resolution: Resolution, outcome: Outcome
    ) -> web.StreamResponse:
        """Send the request to the resolution's target and relay the answer.

        Raises `UnsupportedProtocolError` if the target's provider can't be asked this way, and `UpstreamError` if it
        gives no answer.
        """
        target = resolution.target
        provider = self._upstream.provider(target.provider_name)
        protocol = spoken_protocol(provider, call)
        outcome.target = f"{target.provider_name}:{target.model_id}"
        outcome.attempts = 1
        answer = await self._upstream.send(
            provider,
            call.protocol,
            ProviderRequest(
                method=request.method,
                url=call.url(protocol.base_url, target.model_id),
                headers=request_headers(request.raw_headers),
                own_headers=target.overrides.headers if target.overrides else (),
                payload=body.payload(target.model_id),
                timeouts=time_limits(provider, target),
            ),
        )
        try:
            outcome.head_arrived()
            relay = Relay(request, call, outcome, self._limits.client_idle_s)
            return await relay.run(answer, _added_headers(answer.headers, resolution, outcome))
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


def _added_headers(answered: Sequence[tuple[bytes, bytes]], resolution: Resolution, outcome: Outcome) -> dict[str, str]:
    """What an answer says of its way here."""
    added = {
        "x-pointsman-provider": resolution.target.provider_name,
        "x-pointsman-model": quote(resolution.target.model_id, safe=_FIELD_VALUE),
        "x-pointsman-attempts": str(outcome.attempts),
        "x-pointsman-revision": str(resolution.revision),
    }
    if not any(name.lower() == b"x-request-id" for name, _ in answered):
        added["x-request-id"] = outcome.id
    return added
