"""A provider's own credential, put where that provider expects it."""

from urllib.parse import quote

from proxy.config.settings import AuthStyle, ProtocolSettings, Provider

_HEADER_NAMES = {
    AuthStyle.X_API_KEY: "x-api-key",
    AuthStyle.API_KEY: "api-key",
    AuthStyle.X_GOOG_API_KEY: "x-goog-api-key",
}


def credential_headers(provider: Provider, protocol: ProtocolSettings) -> list[tuple[str, str]]:
    """The header that carries the provider's key in this protocol; none without a key, or if it goes elsewhere."""
    key = provider.api_key.reveal()
    if not key or protocol.auth in {AuthStyle.NONE, AuthStyle.QUERY}:
        return []
    if protocol.auth is AuthStyle.BEARER:
        return [("Authorization", f"Bearer {key}")]
    return [(_HEADER_NAMES[protocol.auth], key)]


def credential_url(url: str, provider: Provider, protocol: ProtocolSettings) -> str:
    """The URL with the provider's key in its query, where that is the provider's style."""
    if protocol.auth is not AuthStyle.QUERY or not provider.api_key:
        return url
    return f"{url}{'&' if '?' in url else '?'}key={quote(provider.api_key.reveal(), safe='')}"
