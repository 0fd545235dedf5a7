"""The settings as the program uses them: complete, checked and immutable.

`load.py` makes them out of a config file or the environment; nothing here reads anything.
"""

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from proxy.config.access import Admin
from proxy.config.address import Address
from proxy.config.secret import Secret
from proxy.errors import Failure, Protocol

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
"""At most a day: what is more was meant as milliseconds."""
Count = Annotated[int, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class RouteStrategy(StrEnum):
    """How a route with several endpoints chooses among them."""

    PRIORITY = "priority"
    LOAD_BALANCE = "load_balance"
    WEIGHTED = "weighted"
    LEAST_LATENCY = "least_latency"
    STICKY = "sticky"


class AuthStyle(StrEnum):
    """Where a provider expects its credential."""

    BEARER = "bearer"  # Authorization: Bearer KEY
    X_API_KEY = "x-api-key"  # Anthropic
    API_KEY = "api-key"  # Azure OpenAI
    X_GOOG_API_KEY = "x-goog-api-key"  # Gemini
    QUERY = "query"  # ?key=KEY
    NONE = "none"


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time limits of one attempt at a provider, in seconds."""

    connect_s: Seconds = 10.0
    """DNS, TCP and TLS together, and the wait for a connection where all of the provider's are in use."""
    first_byte_s: Seconds = 120.0
    """From the request being sent to the head of the answer."""
    idle_s: Seconds = 60.0
    """Between two pieces of the answer."""
    total_s: Seconds = 3600.0
    """From the request's arrival to the end of its answer, with all attempts before this one."""
    websocket_idle_s: Seconds = 3600.0
    """How long both sides of a WebSocket may be silent: as long as OpenAI lets a session last."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many connections a provider gets, for each of its protocols."""

    connections: Count = 10_000
    """Open at once; each serves one request at a time."""
    waiting: Annotated[int, Meta(ge=0)] = 1_000
    """Requests that may wait for one of them, each for its `connect_s` at most."""
    keepalive_s: Seconds | None = None
    """How long one is kept open without a request; None: what suits the address."""


class Concurrency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many requests may be under way at once, at a provider or an endpoint."""

    requests: Count
    waiting: Annotated[int, Meta(ge=0)] = 100
    """Requests that may wait for their turn; more fail at once."""
    wait_s: Seconds = 10.0
    """How long each of them waits at most."""


class ProbeBy(StrEnum):
    """How a provider is asked whether it is well."""

    MODELS = "models"
    """By its list of models, which costs nothing."""
    REQUEST = "request"
    """By a request for one token to the endpoint, which tells more and may be billed."""


class Probe(msgspec.Struct, frozen=True):
    """How an endpoint that is out of service is asked whether it is well, so that no client's request need find out."""

    every_s: Seconds = 10.0
    by: ProbeBy = ProbeBy.MODELS


class EndpointOverrides(msgspec.Struct, frozen=True):
    """What one endpoint of a route sets for itself, over its route and its provider."""

    headers: tuple[tuple[str, Secret], ...] = ()
    timeouts: Timeouts | None = None
    concurrency: Concurrency | None = None
    max_input_tokens: Count | None = None
    """The context that it has: where a prompt doesn't fit elsewhere, it may fit here."""


class Delivery(StrEnum):
    """When a client gets the answer."""

    LIVE = "live"
    """From its first content on, as it comes."""
    WHOLE = "whole"
    """Once it is complete, so that an answer that breaks off half way can still be asked for elsewhere."""


class HedgeAfter(StrEnum):
    """A delay that is not a number."""

    P95 = "p95"
    """The route's own time to first byte, as 19 in 20 requests see it."""


FAILED_OVER = (
    Failure.CONNECT,
    Failure.BROKEN,
    Failure.TIMEOUT,
    Failure.BUSY,
    Failure.RATE_LIMITED,
    Failure.UNAVAILABLE,
    Failure.UNAUTHORIZED,
    Failure.FORBIDDEN,
    Failure.NOT_FOUND,
    Failure.CONTEXT_LENGTH,
    Failure.INCOMPLETE,
)
"""Failures that another target may mend."""


MirroredShare = Annotated[float, Meta(gt=0, le=1)]


class Shadow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A candidate endpoint that gets a share of a route's requests as well, and whose answers are thrown away."""

    provider: str
    model_id: str
    share: MirroredShare

    def __str__(self) -> str:
        return f"{self.share * 100:g} % to {self.provider}:{self.model_id}"


class RouteOptions(msgspec.Struct, frozen=True):
    """How a route's requests are tried, beyond the order of its endpoints."""

    failover_on: tuple[Failure, ...] = FAILED_OVER
    """The failures after which the next endpoint is tried; none: never."""
    delivery: Delivery = Delivery.LIVE
    hedge_after: Seconds | HedgeAfter | None = None
    """How long to wait for the first byte before the next endpoint is asked as well; None: it is not."""
    ping_s: Seconds | None = None
    """How long a stream that has begun may be silent before the client is sent a comment; None: however long."""
    sticky_header: str | None = None
    """The request's header that `sticky` goes by, instead of the body's `prompt_cache_key` or `user`."""
    shadow: Shadow | None = None
    """None: no request is mirrored."""


class ProtocolSettings(msgspec.Struct, frozen=True):
    """How a provider is asked in one protocol."""

    base_url: str
    """Absolute, without a trailing slash: what one would give to that protocol's SDK."""
    auth: AuthStyle
    only: tuple[str, ...] = ()
    """The operations there are, as paths behind the version (`chat/completions`); empty: all of them."""


class Provider(msgspec.Struct, frozen=True):
    """A configured upstream. A credential goes only to the hosts of the same provider."""

    name: str
    protocols: dict[Protocol, ProtocolSettings]
    """At least one; the first is the provider's native one."""
    api_key: Secret = Secret("")
    headers: tuple[tuple[str, Secret], ...] = ()
    """Sent with every request; they win over the client's."""
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    concurrency: Concurrency | None = None
    """Requests under way at once, over all endpoints and protocols."""
    probe: Probe | None = None
    """None: only clients' requests find out whether it is well again."""
    ca_bundle: str | None = None
    """PEM file of the authorities to trust instead of the system's."""
    proxy: Secret = Secret("")
    """URL of an outgoing HTTP proxy; may hold a password."""

    @property
    def protocol(self) -> Protocol:
        """The native protocol."""
        return next(iter(self.protocols))

    @property
    def is_secure(self) -> bool:
        """Whether it is asked over TLS, in one of its protocols at least."""
        return any(urlsplit(each.base_url).scheme == "https" for each in self.protocols.values())


class Endpoint(msgspec.Struct, frozen=True):
    """One place that can serve a model, as the config file names it."""

    provider: str
    model_id: str
    weight: Count = 1
    overrides: EndpointOverrides | None = None


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model, for discovery. Limits are in tokens."""

    name: str | None = None
    description: str | None = None
    max_input_tokens: Count | None = None
    max_output_tokens: Count | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()


class Model(ModelFacts, frozen=True):
    """A config route, and what is known of the model."""

    endpoints: tuple[Endpoint, ...]
    strategy: RouteStrategy = RouteStrategy.PRIORITY
    options: RouteOptions = RouteOptions()


class AccessLog(StrEnum):
    """How the line of each request looks."""

    TEXT = "text"
    JSON = "json"
    OFF = "off"


class Server(msgspec.Struct, frozen=True):
    """The data plane's listener and its limits."""

    listen: Address = Address("127.0.0.1", 8787)
    max_body_bytes: Count = 64 * 1024 * 1024
    """The largest request body, after decompression, and the largest WebSocket message."""
    client_idle_s: Seconds = 60.0
    """How long a client may pause within its request body, or in taking its answer."""
    shutdown_grace_s: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    """How long requests under way may go on after SIGTERM."""
    shutdown_idle_s: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    """How long a connection without a request is kept after SIGTERM, for one that may be on its way."""
    reuse_port: bool = False
    """Whether another process may listen at the same addresses, such as the one that takes over from this."""
    watch_config_s: Seconds | None = None
    """How often to look whether the config file has changed, and then reload it; None: never."""
    deadline_header: str | None = None
    """A header by which clients say how many seconds they wait for the first byte; None: those of the official SDKs."""
    access_log: AccessLog = AccessLog.TEXT
    """How the line of each request looks."""


class Tracing(msgspec.Struct, frozen=True):
    """Where the spans of requests go."""

    endpoint: str
    """Takes them by OTLP over HTTP."""
    headers: tuple[tuple[str, Secret], ...] = ()
    sample: Share = 1.0
    """The share of requests that are traced, among those that belong to no trace of their client's."""


class Settings(msgspec.Struct, frozen=True):
    """Everything that a config file decides."""

    server: Server = Server()
    admin: Admin = Admin()
    providers: dict[str, Provider] = {}
    models: dict[str, Model] = {}
    source: str = "defaults"
    """Where the settings came from, in words: a file's path or `environment`."""
    tracing: Tracing | None = None

    @property
    def admin_address(self) -> Address:
        """Where the admin plane listens."""
        return self.admin.listen or self.server.listen

    @property
    def is_admin_guarded(self) -> bool:
        """Whether nobody but this machine can reach the admin plane without a token."""
        return self.admin.needs_token or self.admin_address.is_loopback
