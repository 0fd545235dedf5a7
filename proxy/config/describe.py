"""What settings come to, for people and programs to read: complete, and without a single character of a secret."""

from urllib.parse import urlsplit

from proxy.config.settings import AuthStyle, Endpoint, Model, Provider, Secret, Settings

_MASK = "***"


def describe_settings(settings: Settings) -> dict[str, object]:
    """The settings as JSON-able values, secrets masked, with `warnings` about what will probably not work."""
    return {
        "source": settings.source,
        "server": {
            "listen": str(settings.server.listen),
            "max_body_bytes": settings.server.max_body_bytes,
            "client_idle_s": settings.server.client_idle_s,
            "shutdown_grace_s": settings.server.shutdown_grace_s,
        },
        "admin": {
            "listen": str(settings.admin_address),
            "token": _masked(settings.admin.token),
        },
        "providers": {name: _provider(provider) for name, provider in settings.providers.items()},
        "models": {name: _model(model) for name, model in settings.models.items()},
        "warnings": _warnings(settings),
    }


def _provider(provider: Provider) -> dict[str, object]:
    return {
        "protocols": {
            str(protocol): {"base_url": spec.base_url, "auth": str(spec.auth), "only": list(spec.only)}
            for protocol, spec in provider.protocols.items()
        },
        "api_key": _masked(provider.api_key),
        "headers": {name: _masked(value) for name, value in provider.headers},
        "timeouts": {
            "connect_s": provider.timeouts.connect_s,
            "first_byte_s": provider.timeouts.first_byte_s,
            "idle_s": provider.timeouts.idle_s,
        },
        "ca_bundle": provider.ca_bundle,
        "proxy": _host_of(provider.proxy),
    }


def _model(model: Model) -> dict[str, object]:
    return {
        "strategy": str(model.strategy),
        "endpoints": [
            {"provider": endpoint.provider, "model_id": endpoint.model_id, "weight": endpoint.weight, **_own(endpoint)}
            for endpoint in model.endpoints
        ],
    }


def _own(endpoint: Endpoint) -> dict[str, object]:
    if endpoint.overrides is None:
        return {}
    own: dict[str, object] = {"headers": {name: _masked(value) for name, value in endpoint.overrides.headers}}
    if (timeouts := endpoint.overrides.timeouts) is not None:
        own["timeouts"] = {"first_byte_s": timeouts.first_byte_s, "idle_s": timeouts.idle_s}
    return own


def _warnings(settings: Settings) -> list[str]:
    warnings = [
        f"providers.{name}: no api_key, so requests go there without a credential"
        for name, provider in settings.providers.items()
        if not provider.api_key and any(spec.auth is not AuthStyle.NONE for spec in provider.protocols.values())
    ]
    if not settings.providers:
        warnings.append("providers: there are none, so nothing can be routed")
    if not settings.is_admin_guarded:
        warnings.append(
            f"admin.token: not set, so the proxy won't start with its admin plane on {settings.admin_address}"
        )
    return warnings


def _masked(secret: Secret) -> str | None:
    return _MASK if secret else None


def _host_of(proxy: Secret) -> str | None:
    """An outgoing proxy without the user and password that may stand in its URL."""
    if not proxy:
        return None
    parts = urlsplit(proxy.reveal())
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
