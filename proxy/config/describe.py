"""What settings come to, for people and programs to read: complete, and without a single character of a secret."""

from collections.abc import Iterator, Mapping
from enum import Enum
from urllib.parse import urlsplit

import msgspec

from proxy.config.address import Address
from proxy.config.known import KNOWN_PROVIDERS
from proxy.config.secret import Secret
from proxy.config.settings import AuthStyle, Endpoint, Model, Provider, Settings, Tracing

_MASK = "***"
_SHORT_TOKEN = 16
_OWN_SHAPE = frozenset({"endpoints", "options"})


def describe_settings(settings: Settings) -> dict[str, object]:
    """The settings as JSON-able values, secrets masked, with `warnings` about what will probably not work.

    A secret that is not set is null.
    """
    return {
        "source": settings.source,
        "server": _plain(settings.server),
        "admin": _admin(settings),
        "tracing": None if settings.tracing is None else _tracing(settings.tracing),
        "providers": {name: _provider(provider) for name, provider in settings.providers.items()},
        "models": {name: _model(model) for name, model in settings.models.items()},
        "warnings": list(_warnings(settings)),
    }


def _tracing(tracing: Tracing) -> dict[str, object]:
    return {"endpoint": tracing.endpoint, "headers": _headers(tracing.headers), "sample": tracing.sample}


def _admin(settings: Settings) -> dict[str, object]:
    admin = settings.admin
    return {
        "listen": str(settings.admin_address),
        "token": _plain(admin.token),
        "tokens": [{"name": each.name, "role": str(each.role), "hash": _MASK} for each in admin.tokens],
        "hosts": _plain(admin.hosts),
        "secure_cookies": admin.secure_cookies,
        "audit": admin.audit,
    }


def _provider(provider: Provider) -> dict[str, object]:
    return {
        "protocols": _plain(provider.protocols),
        "api_key": _plain(provider.api_key),
        "headers": _headers(provider.headers),
        "timeouts": _plain(provider.timeouts),
        "limits": _plain(provider.limits),
        "concurrency": _plain(provider.concurrency),
        "probe": _plain(provider.probe),
        "ca_bundle": provider.ca_bundle,
        "proxy": _without_credential(provider.proxy),
    }


def _model(model: Model) -> dict[str, object]:
    rest = {name: _plain(getattr(model, name)) for name in model.__struct_fields__ if name not in _OWN_SHAPE}
    options = msgspec.structs.asdict(model.options)
    return {
        "endpoints": [_endpoint(endpoint) for endpoint in model.endpoints],
        **{name: _plain(value) for name, value in options.items()},
        **rest,
    }


def _endpoint(endpoint: Endpoint) -> dict[str, object]:
    shown: dict[str, object] = {
        "provider": endpoint.provider,
        "model_id": endpoint.model_id,
        "weight": endpoint.weight,
    }
    if (overrides := endpoint.overrides) is not None:
        shown |= {
            "headers": _headers(overrides.headers),
            "timeouts": _plain(overrides.timeouts),
            "concurrency": _plain(overrides.concurrency),
            "max_input_tokens": overrides.max_input_tokens,
        }
    return shown


def _headers(headers: tuple[tuple[str, Secret], ...]) -> dict[str, object]:
    return {name: _plain(value) for name, value in headers}


def _plain(value: object) -> object:
    """A value of the settings as JSON has it."""
    match value:
        case Secret():
            return _MASK if value else None
        case Address() | Enum():
            return str(value)
        case msgspec.Struct():
            return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _without_credential(proxy: Secret) -> str | None:
    """An outgoing proxy without the name and password that may stand in its URL."""
    if not proxy:
        return None
    parts = urlsplit(proxy.reveal())
    _, credential, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{_MASK}@{host}" if credential else f"{parts.scheme}://{host}"


def _warnings(settings: Settings) -> Iterator[str]:
    if not settings.is_admin_guarded:
        yield f"admin.token: not set, so the proxy won't start with its admin plane on {settings.admin_address}"
    if 0 < len(settings.admin.token.reveal()) < _SHORT_TOKEN:
        yield f"admin.token: shorter than {_SHORT_TOKEN} characters, so it can be guessed; see `pointsman token`"
    if not settings.providers:
        yield "providers: there are none, so nothing can be routed"
    without_key = {name: why for name, provider in settings.providers.items() if (why := _lacks_key(provider))}
    for name, why in without_key.items():
        yield f"providers.{name}: no key, so requests go there without a credential; {why}"
    for name, model in settings.models.items():
        for provider in dict.fromkeys(endpoint.provider for endpoint in model.endpoints):
            if provider in without_key:
                yield f"models.{name}: leads to {provider}, which has no key"


def _lacks_key(provider: Provider) -> str | None:
    """What to do about a key that is missing; None if there is one, or if none is needed on the way to this machine."""
    hosts = {urlsplit(each.base_url).hostname or "" for each in provider.protocols.values()}
    if (
        provider.api_key
        or all(each.auth is AuthStyle.NONE for each in provider.protocols.values())
        or all(Address(host, 0).is_loopback for host in hosts)
    ):
        return None
    known = KNOWN_PROVIDERS.get(provider.name)
    if known is None or not known.key_variables:
        return "set api_key, or auth: none"
    variables = " or ".join(known.key_variables)
    if known.base_url is not None and hosts == {urlsplit(known.base_url).hostname}:
        return f"set {variables} in the environment, or api_key"
    return f"set api_key, since {variables} is sent to the host only that it is meant for"
