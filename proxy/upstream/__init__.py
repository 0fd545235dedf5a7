"""Talking to providers: connections, credentials, and what their failures mean."""

from proxy.upstream.client import Answer, TlsContexts, Upstream
from proxy.upstream.requests import Payload

__all__ = ["Answer", "Payload", "TlsContexts", "Upstream"]
