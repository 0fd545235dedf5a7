"""Talking to providers: connections, credentials, health, and what their failures mean."""

from proxy.upstream.breaker import FORCED, Ticket
from proxy.upstream.budget import RetryBudget
from proxy.upstream.client import Answer, TlsContexts, Upstream
from proxy.upstream.concurrency import ConcurrencyLimit
from proxy.upstream.health import EndpointHealth, Health, HealthChange
from proxy.upstream.origin import RequestTemplate
from proxy.upstream.preflight import Preflight, Trial
from proxy.upstream.probe import Prober
from proxy.upstream.requests import NOTHING, Payload

__all__ = [
    "FORCED",
    "NOTHING",
    "Answer",
    "ConcurrencyLimit",
    "EndpointHealth",
    "Health",
    "HealthChange",
    "Payload",
    "Preflight",
    "Prober",
    "RequestTemplate",
    "RetryBudget",
    "Ticket",
    "TlsContexts",
    "Trial",
    "Upstream",
]
