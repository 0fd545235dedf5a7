"""What an exception of the HTTP client means, in words for an operator: no URL, no header, no credential."""

import os

import aiohttp


def describe_failure(provider: str, error: Exception) -> str:
    """One sentence that says what went wrong on the way to the head of the provider's answer."""
    return f"Provider `{provider}` {_what_happened(error)}."


def _what_happened(error: Exception) -> str:  # noqa: PLR0911 - a table of cases
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"could not be reached: the name {error.host} could not be looked up"
        case aiohttp.ClientConnectorCertificateError():
            return f"could not be reached: the TLS certificate of {error.host}:{error.port} is not trusted"
        case aiohttp.ClientConnectorSSLError():
            return f"could not be reached: TLS with {error.host}:{error.port} failed"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            reason = os.strerror(number) if number else "the connection failed"
            return f"could not be reached at {error.host}:{error.port}: {reason}"
        case aiohttp.ClientHttpProxyError():
            return f"could not be reached: the outgoing proxy answered with status {error.status}"
        case aiohttp.ServerDisconnectedError():
            return "closed the connection without an answer"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "sent an answer that is not valid HTTP"
        case aiohttp.InvalidURL():
            return "has a base_url that is not a valid address"
    return f"broke the connection before it answered ({type(error).__name__})"
