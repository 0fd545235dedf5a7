"""What may be written in a config file: the keys, and the texts that stand for addresses, URLs and secrets.

Sections whose keys are the settings' own (`server`, `admin`, models, limits) have their types in `settings.py`.
"""

import re
import ssl
from collections.abc import Mapping
from typing import Annotated, Any, NewType
from urllib.parse import SplitResult, urlsplit

import msgspec

from proxy.config.access import Admin, HostName, TokenHash, TokenName, host_name, token_hash, token_name
from proxy.config.address import Address
from proxy.config.reader import Form, PartOf
from proxy.config.secret import Secret
from proxy.config.settings import (
    FAILED_OVER,
    AuthStyle,
    Concurrency,
    Count,
    Delivery,
    HedgeAfter,
    Limits,
    MirroredShare,
    ModelFacts,
    Probe,
    RouteStrategy,
    Seconds,
    Server,
    Shadow,
    Share,
    Timeouts,
)
from proxy.errors import Failure, Protocol

ProviderName = NewType("ProviderName", str)
ProviderRef = NewType("ProviderRef", str)
"""The name of a configured provider."""
Ancestor = NewType("Ancestor", str)
"""The name of a configured or a known provider."""
ModelName = NewType("ModelName", str)
BaseUrl = NewType("BaseUrl", str)
TracesUrl = NewType("TracesUrl", str)
UrlOrPath = NewType("UrlOrPath", str)
"""A URL, or a path behind the provider's `base_url`."""
ProxyUrl = NewType("ProxyUrl", Secret)
PemFile = NewType("PemFile", str)
HeaderName = NewType("HeaderName", str)

FailedOver = NewType("FailedOver", str)
"""A failure after which another endpoint can be tried."""
Delay = NewType("Delay", object)
"""Seconds, or a name that stands for them."""

SomeTimeouts = Annotated[dict[str, float], PartOf(Timeouts)]
SomeLimits = Annotated[dict[str, float], PartOf(Limits)]


class ProtocolEntry(msgspec.Struct, frozen=True):
    """How a provider is asked in one protocol; what is left out comes from `derives` or the provider."""

    base_url: UrlOrPath | None = None
    auth: AuthStyle | None = None
    only: tuple[str, ...] | None = None


class ProviderEntry(msgspec.Struct, frozen=True):
    """A provider; what is left out comes from `derives` or from what is known of its name."""

    derives: Ancestor | None = None
    base_url: BaseUrl | None = None
    protocols: dict[Protocol, UrlOrPath | ProtocolEntry] = {}
    api_key: Secret | None = None
    auth: AuthStyle | None = None
    headers: dict[HeaderName, Secret] = {}
    timeouts: SomeTimeouts = {}
    limits: SomeLimits = {}
    probe: Probe | None = None
    concurrency: Concurrency | None = None
    ca_bundle: PemFile | None = None
    proxy: ProxyUrl | None = None


class EndpointEntry(msgspec.Struct, frozen=True):
    """One place that can serve a model."""

    provider: ProviderRef
    model_id: ModelName
    weight: Count = 1
    headers: dict[HeaderName, Secret] = {}
    timeouts: SomeTimeouts = {}
    concurrency: Concurrency | None = None
    max_input_tokens: Count | None = None


class ShadowEntry(msgspec.Struct, frozen=True):
    """A candidate that gets a share of a route's requests as well."""

    provider: ProviderRef
    model_id: ModelName
    share: MirroredShare


class ModelEntry(ModelFacts, frozen=True):
    """A model's route, and what is known of the model."""

    endpoints: tuple[EndpointEntry, ...]
    strategy: RouteStrategy = RouteStrategy.PRIORITY
    failover_on: tuple[FailedOver, ...] = FAILED_OVER  # type: ignore[assignment] # the same, checked
    delivery: Delivery = Delivery.LIVE
    hedge_after: Delay | None = None
    ping_s: Seconds | None = None
    sticky_header: HeaderName | None = None
    shadow: Shadow | None = None
    timeouts: SomeTimeouts = {}  # noqa: RUF012 - msgspec copies it


class TracingEntry(msgspec.Struct, frozen=True):
    """Where the spans of requests go."""

    endpoint: TracesUrl
    headers: dict[HeaderName, Secret] = {}
    sample: Share = 1.0


class Document(msgspec.Struct, frozen=True):
    """The whole file."""

    server: Server = Server()
    admin: Admin = Admin()
    tracing: TracingEntry | None = None
    providers: dict[ProviderName, ProviderEntry] = {}
    models: dict[str, object] = {}
    """Each a `ModelEntry`, read once the providers are known."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PROVIDER_NAME = re.compile(r"[A-Za-z0-9._-]+")
# RFC 3986 §2: the characters of a URI, less what begins a query or a fragment.
_URL_TEXT = re.compile(r"[A-Za-z0-9._~:/@!$&'()*+,;=%\[\]-]*")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
# RFC 9110 §7.6.1 and §8.6: these belong to the connection and the framing, which are the proxy's own.
_FRAMING = frozenset(
    {"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}
)


def _provider_name(text: str) -> str:
    if not _PROVIDER_NAME.fullmatch(text):
        raise ValueError(
            "a provider's name of letters, digits, `.`, `_` and `-` (others have a meaning in direct names)"
        )
    return text


def _model_name(text: str) -> str:
    if not text.strip() or _CONTROL.search(text):
        raise ValueError("a model's name: not empty, without control characters")
    return text


def _base_url(text: str) -> str:
    parts = _http_url(text, "an http(s) URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an http(s) URL without a name or password in it (the credential goes into api_key)")
    return text.rstrip("/")


def _traces_url(text: str) -> str:
    parts = _http_url(text, "an http(s) URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an http(s) URL without a name or password in it (a credential goes into headers)")
    return text


def _url_or_path(text: str) -> str:
    if text and not text.startswith("/"):
        return _base_url(text)
    if text.startswith("//") or not _URL_TEXT.fullmatch(text):
        raise ValueError("an http(s) URL, or a path such as /anthropic that is appended to base_url")
    return text.rstrip("/")


def _proxy_url(text: str) -> Secret:
    expected = "the outgoing proxy's URL, such as http://proxy:3128 or http://user:password@proxy:3128"
    if text and _http_url(text, expected).scheme != "http":
        raise ValueError(expected)
    return Secret(text)


def _http_url(text: str, expected: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:  # among them a port that is none
        raise ValueError(expected) from error
    if not is_usable or not _URL_TEXT.fullmatch(text):
        raise ValueError(f"{expected} (without a query or fragment)")
    return parts


def _pem_file(path: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # among them ssl.SSLError
        raise ValueError(f"a readable PEM file of certificates ({error.strerror or error})") from error
    return path


def header_name(text: str) -> str:
    """The text, if it can name a header that is free to use; raises `ValueError`, saying what was expected."""
    if not _TOKEN.fullmatch(text) or text.lower() in _FRAMING:
        raise ValueError("the name of a header, and none that belongs to the connection itself")
    return text


def _failed_over(text: str) -> Failure:
    if text not in FAILED_OVER:
        raise ValueError(f"one of {', '.join(FAILED_OVER)}")
    return Failure(text)


def _delay(value: object) -> float | HedgeAfter:
    try:
        if isinstance(value, str) and value in set(HedgeAfter):
            return HedgeAfter(value)
        return msgspec.convert(value, Seconds, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"seconds, or {' or '.join(HedgeAfter)}") from error


def _auth_style(text: str) -> AuthStyle:
    if text not in set(AuthStyle):
        raise ValueError(f"one of {', '.join(AuthStyle)}")
    return AuthStyle(text)


def _secret(text: str) -> Secret:
    if _CONTROL.search(text):
        raise ValueError("text without line breaks or other control characters")
    return Secret(text)


FORMS: Mapping[Any, Form] = {
    Address: Form(str, Address.parse),
    Secret: Form(str, _secret, is_secret=True),
    # Who takes it for the place of the key shall not find that in a log.
    AuthStyle: Form(str, _auth_style, is_secret=True),
    ProviderName: Form(str, _provider_name),
    ModelName: Form(str, _model_name),
    BaseUrl: Form(str, _base_url),
    TracesUrl: Form(str, _traces_url),
    UrlOrPath: Form(str, _url_or_path),
    ProxyUrl: Form(str, _proxy_url, is_secret=True),
    PemFile: Form(str, _pem_file),
    HeaderName: Form(str, header_name),
    FailedOver: Form(str, _failed_over),
    Delay: Form(object, _delay),
    TokenName: Form(str, token_name),
    TokenHash: Form(str, token_hash),
    HostName: Form(str, host_name),
}
UNSHOWN = frozenset({"admin"})
"""Sections where a secret may stand anywhere by mistake: faults show nothing of what is written there."""
