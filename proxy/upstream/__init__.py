"""Talking to providers: connections, credentials, and what their failures mean."""

from proxy.upstream.client import Answer, Payload, ProviderRequest, Upstream, WebSocketRequest

__all__ = ["Answer", "Payload", "ProviderRequest", "Upstream", "WebSocketRequest"]
