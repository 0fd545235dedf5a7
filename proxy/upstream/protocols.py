"""Which provider can be asked what."""

from proxy.config.settings import ProtocolSettings, Provider
from proxy.errors import Protocol, UnsupportedProtocolError
from proxy.wire import Call

_NAMES = {Protocol.OPENAI: "OpenAI", Protocol.ANTHROPIC: "Anthropic", Protocol.GEMINI: "Gemini"}


def spoken_protocol(provider: Provider, call: Call) -> ProtocolSettings:
    """How to ask this provider; raises `UnsupportedProtocolError` if it doesn't speak the request's protocol."""
    settings = provider.protocols.get(call.protocol)
    if settings is None:
        spoken = " and ".join(_NAMES[protocol] for protocol in provider.protocols)
        message = (
            f"The route leads to provider `{provider.name}`, which doesn't speak the "
            f"{_NAMES[call.protocol]} protocol of this request, only {spoken}."
        )
        raise UnsupportedProtocolError(message, param="model")
    if settings.only and call.operation not in settings.only:
        message = (
            f"The route leads to provider `{provider.name}`, which doesn't offer `{call.operation}` in the "
            f"{_NAMES[call.protocol]} protocol, only {', '.join(settings.only)}."
        )
        raise UnsupportedProtocolError(message, param="model")
    return settings
