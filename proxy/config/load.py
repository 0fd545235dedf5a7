"""A config file, a mapping or the environment -> settings, or every fault in it at once."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from proxy.config.access import Admin
from proxy.config.document import (
    FORMS,
    UNSHOWN,
    Ancestor,
    Document,
    EndpointEntry,
    ModelEntry,
    ModelName,
    ProviderRef,
    ShadowEntry,
    TracingEntry,
)
from proxy.config.faults import ConfigError, Fault, did_you_mean
from proxy.config.known import KNOWN_PROVIDERS
from proxy.config.providers import ProviderResolver
from proxy.config.reader import Form, Kind, Reader
from proxy.config.settings import (
    Endpoint,
    EndpointOverrides,
    Model,
    Provider,
    RouteOptions,
    Server,
    Settings,
    Shadow,
    Timeouts,
    Tracing,
)
from proxy.config.source import Source, read_yaml

CONFIG_VARIABLE = "POINTSMAN_CONFIG"


def find_config(explicit: Path | None, environ: Mapping[str, str], cwd: Path, home: Path) -> Path | None:
    """The config file to use: the one named, or else the first that is there; None if there is none.

    Looked for in `explicit`, `$POINTSMAN_CONFIG`, `config/proxy.yaml` and `~/.config/pointsman/proxy.yaml`. Raises
    `ConfigError` if a file that is named is missing.
    """
    named, by = explicit, "this file was asked for"
    if named is None and (value := environ.get(CONFIG_VARIABLE)):
        named, by = Path(value), f"{CONFIG_VARIABLE} names this file"
    if named is not None:
        if not (cwd / named).is_file():
            raise ConfigError([Fault(str(named), None, "", f"{by}, but it is not there")])
        return named
    usual = (cwd / "config/proxy.yaml", home / ".config/pointsman/proxy.yaml")
    return next((place for place in usual if place.is_file()), None)


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a config file; without one, every known provider whose key is in the environment.

    Raises `ConfigError` with every fault.
    """
    if path is None:
        return _from_environment(environ)
    try:
        document = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError([Fault(str(path), None, "", f"can't be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([Fault(str(path), line, "", "this is not UTF-8 text")]) from error
    return parse_settings(document, environ, str(path))


def parse_settings(document: str, environ: Mapping[str, str], source: str = "<string>") -> Settings:
    """The settings of a config file's text; `source` is what faults call it. Raises `ConfigError`."""
    return _settings(read_yaml(document, environ, source), environ)


def settings_from(mapping: Mapping[str, object], source: str = "<mapping>") -> Settings:
    """Settings out of a plain mapping, as YAML would give it; nothing is taken from the environment.

    Raises `ConfigError`.
    """
    return _settings(Source(source, mapping), {})


def _from_environment(environ: Mapping[str, str]) -> Settings:
    names = [name for name, known in KNOWN_PROVIDERS.items() if known.key(environ) and known.home(environ)]
    return _settings(Source("environment", {"providers": dict.fromkeys(names)}), environ)


def _settings(source: Source, environ: Mapping[str, str]) -> Settings:
    forms = {**FORMS, **_references(source.keys(("providers",)))}
    document = source.document or {}
    if not isinstance(document, Mapping):
        source.fault((), f"expected a mapping of {', '.join(Document.__struct_fields__)}")
        raise ConfigError(source.faults)
    sections = Reader(source, forms, UNSHOWN).fields(document, Document, ())
    _check_tokens(sections.get("admin", Admin()), source)
    providers = ProviderResolver(sections.get("providers", {}), source, environ).providers()
    forms[Shadow] = Form(ShadowEntry, lambda entry: Shadow(entry.provider, entry.model_id, entry.share))
    forms[Model] = Form(ModelEntry, partial(_model, providers))
    models = Reader(source, forms).mapping(sections.get("models", {}), ModelName, Model, ("models",))
    for name, model in models.items():
        if not model.endpoints and source.is_sound(("models", name)):
            source.fault(("models", name, "endpoints"), "expected at least one endpoint")
    if source.faults:
        raise ConfigError(source.faults)
    return Settings(
        sections.get("server", Server()),
        sections.get("admin", Admin()),
        providers,
        models,
        source=source.name,
        tracing=_tracing(sections.get("tracing")),
    )


def _tracing(entry: TracingEntry | None) -> Tracing | None:
    return None if entry is None else Tracing(entry.endpoint, tuple(entry.headers.items()), entry.sample)


def _check_tokens(admin: Admin, source: Source) -> None:
    """Record what is wrong with the tokens as a whole: of each name and each hash there is one."""
    at = ("admin", "tokens")
    if not source.is_sound(at):
        return
    for key in ("name", "hash"):
        values = [getattr(each, key) for each in admin.tokens]
        for index, value in enumerate(values):
            if value in values[:index]:
                source.fault((*at, index, key), f"another token has the same {key}")


def _references(configured: Sequence[str]) -> dict[Kind, Form]:
    """How providers are named elsewhere in the document, given those that it configures."""

    def provider_ref(name: str) -> str:
        if name in configured:
            return name
        if name in KNOWN_PROVIDERS:
            raise ValueError(f"a configured provider (add `{name}:` under `providers`)")
        raise ValueError(f"a configured provider ({did_you_mean(name, configured)})")

    def ancestor(name: str) -> str:
        if name in configured or name in KNOWN_PROVIDERS:
            return name
        raise ValueError(f"a configured or known provider ({did_you_mean(name, [*configured, *KNOWN_PROVIDERS])})")

    return {ProviderRef: Form(str, provider_ref), Ancestor: Form(str, ancestor)}


def _model(providers: Mapping[str, Provider], entry: ModelEntry) -> Model:
    fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
    options = RouteOptions(**{name: fields.pop(name) for name in RouteOptions.__struct_fields__})
    timeouts = fields.pop("timeouts")
    endpoints = tuple(_endpoint(providers, each, timeouts) for each in fields.pop("endpoints"))
    return Model(endpoints=endpoints, options=options, **fields)


def _endpoint(providers: Mapping[str, Provider], entry: EndpointEntry, of_route: Mapping[str, float]) -> Endpoint:
    """An endpoint whose time limits are its provider's, save for those that its route or it sets itself."""
    overrides = None
    own = {**of_route, **entry.timeouts}
    if entry.headers or own or entry.concurrency or entry.max_input_tokens:
        provider = providers.get(entry.provider)
        timeouts = msgspec.structs.replace(provider.timeouts if provider else Timeouts(), **own) if own else None
        overrides = EndpointOverrides(tuple(entry.headers.items()), timeouts, entry.concurrency, entry.max_input_tokens)
    return Endpoint(entry.provider, entry.model_id, entry.weight, overrides)
