"""From the sections of a config file to settings: providers with everything decided, routes that lead somewhere."""

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from proxy.config.faults import Faults, closest
from proxy.config.known import KNOWN_PROVIDERS, USUAL_AUTH, KnownProvider
from proxy.config.sections import (
    AdminSection,
    Document,
    EndpointSection,
    ModelSection,
    ProtocolSection,
    ProviderSection,
)
from proxy.config.settings import (
    Address,
    Admin,
    Endpoint,
    EndpointOverrides,
    Model,
    ProtocolSettings,
    Provider,
    Secret,
    Server,
    Settings,
    Timeouts,
)
from proxy.errors import Protocol

Path = tuple[str, ...]

# `:` and `/` would collide with direct names.
_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>\d{1,5})")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_MODEL_CHARACTERS = 512


class Builder:
    """Builds settings out of one document.

    Args:
        document: the sections as they are written.
        environ: where the known providers' keys come from.
        faults: takes what is wrong.
    """

    def __init__(self, document: Document, environ: Mapping[str, str], faults: Faults) -> None:
        self._document = document
        self._environ = environ
        self._faults = faults

    def build(self, source: str) -> Settings:
        """The settings; usable only if no fault was noted."""
        server = self._document.server
        providers = {
            name: provider
            for name, section in self._document.providers.items()
            if (provider := self._provider(name, section)) is not None
        }
        return Settings(
            server=Server(
                self._address(server.listen, ("server", "listen")) or Server().listen,
                server.max_body_bytes,
                server.client_idle_s,
                server.shutdown_grace_s,
            ),
            admin=self._admin(self._document.admin),
            providers=providers,
            models={name: self._model(name, section) for name, section in self._document.models.items()},
            source=source,
        )

    def _admin(self, section: AdminSection) -> Admin:
        listen = None if section.listen is None else self._address(section.listen, ("admin", "listen"))
        return Admin(Secret(section.token), listen)

    def _address(self, text: str, path: Path) -> Address | None:
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match["port"]) > 65535:
            self._faults.add(path, f"expected HOST:PORT, such as 127.0.0.1:8787, got `{text}`")
            return None
        return Address(match["v6"] or match["host"], int(match["port"]))

    def _provider(self, name: str, section: ProviderSection) -> Provider | None:
        path = ("providers", name)
        if not _PROVIDER_NAME.fullmatch(name):
            self._faults.add(path, "a provider's name is made of letters, digits, `.`, `_` and `-`")
        if section.ca_bundle is not None and not FilePath(section.ca_bundle).is_file():
            self._faults.add((*path, "ca_bundle"), f"there is no file {section.ca_bundle}")
        if section.proxy and urlsplit(section.proxy).scheme not in {"http", "https"}:
            self._faults.add((*path, "proxy"), "expected an http:// or https:// URL")
        protocols = self._protocols(name, section)
        if not protocols:
            return None
        return Provider(
            name=name,
            protocols=protocols,
            api_key=Secret(self._api_key(name, section)),
            headers=self._headers(section.headers, (*path, "headers")),
            timeouts=self._timeouts(name),
            ca_bundle=section.ca_bundle,
            proxy=Secret(section.proxy or ""),
        )

    def _api_key(self, name: str, section: ProviderSection) -> str:
        """The provider's key. One from the environment is given only to the host that it was made for."""
        if section.api_key is not None:
            return section.api_key
        known = KNOWN_PROVIDERS.get(name)
        is_moved = section.derives or section.base_url or section.protocols
        if known is None or known.key_variable is None or is_moved:
            return ""
        return self._environ.get(known.key_variable, "")

    def _ancestry(self, name: str) -> tuple[list[ProviderSection], KnownProvider | None]:
        """The section of `name` and of what it derives from, nearest first, and the known provider at the end."""
        sections = []
        seen = set()
        while (section := self._document.providers.get(name)) is not None and name not in seen:
            seen.add(name)
            sections.append(section)
            if section.derives is None or section.derives == name:
                return sections, KNOWN_PROVIDERS.get(name)
            name = section.derives
        return sections, None if name in seen else KNOWN_PROVIDERS.get(name)

    def _timeouts(self, name: str) -> Timeouts:
        sections, _ = self._ancestry(name)
        return next((section.timeouts for section in sections if section.timeouts is not None), Timeouts())

    def _protocols(self, name: str, section: ProviderSection) -> dict[Protocol, ProtocolSettings]:
        path = ("providers", name)
        sections, known = self._ancestry(name)
        if section.derives is not None and len(sections) == 1 and known is None:
            candidates = {*KNOWN_PROVIDERS, *self._document.providers} - {name}
            hint = closest(section.derives, candidates)
            self._faults.add((*path, "derives"), f"there is no provider `{section.derives}`; {hint}")
            return {}
        base_url = next((s.base_url for s in sections if s.base_url is not None), None)
        if base_url is None and known is not None:
            base_url = self._known_base_url(known, path)
        specs = self._specs(sections, known, path)
        if base_url is None and not (specs and all(_is_absolute(spec.base_url) for spec in specs.values())):
            self._faults.add(path, "`base_url` is missing: this is no known provider, so say where it is")
            return {}
        auth = next((s.auth for s in sections if s.auth is not None), None)
        return {
            protocol: ProtocolSettings(
                base_url=self._url(spec.base_url, base_url or "", path),
                auth=spec.auth or auth or USUAL_AUTH[protocol],
                only=tuple(spec.only),
            )
            for protocol, spec in specs.items()
        }

    def _known_base_url(self, known: KnownProvider, path: Path) -> str | None:
        if known.endpoint_variable is None:
            return known.base_url
        if endpoint := self._environ.get(known.endpoint_variable):
            return endpoint.rstrip("/") + known.base_url
        self._faults.add(path, f"`base_url` is missing, and so is the environment variable {known.endpoint_variable}")
        return "http://missing.invalid"

    def _specs(
        self, sections: list[ProviderSection], known: KnownProvider | None, path: Path
    ) -> dict[Protocol, ProtocolSection]:
        """The protocols of the nearest section that names any, else the known provider's, else OpenAI's."""
        moved = False
        for section in sections:
            if section.protocols:
                specs = {
                    protocol: ProtocolSection(spec) if isinstance(spec, str) else spec
                    for protocol, spec in section.protocols.items()
                }
                if moved and any(_is_absolute(spec.base_url) for spec in specs.values()):
                    message = (
                        "derives protocols with absolute URLs, which base_url can't move: name `protocols` here too"
                    )
                    self._faults.add(path, message)
                return specs
            moved = moved or section.base_url is not None
        if known is not None:
            return {
                protocol: ProtocolSection(spec.path, spec.auth, list(spec.only))
                for protocol, spec in known.protocols.items()
            }
        return {Protocol.OPENAI: ProtocolSection()}

    def _url(self, spec: str, base_url: str, path: Path) -> str:
        url = spec if _is_absolute(spec) else base_url.rstrip("/") + ("/" + spec.strip("/") if spec else "")
        if (wrong := _what_is_wrong(url)) is not None:
            self._faults.add((*path, "base_url"), wrong)
        return url.rstrip("/")

    def _headers(self, headers: Mapping[str, str], path: Path) -> tuple[tuple[str, Secret], ...]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value):
                self._faults.add((*path, name), "not a valid header: see RFC 9110 §5")
        return tuple((name, Secret(value)) for name, value in headers.items())

    def _model(self, name: str, section: ModelSection) -> Model:
        path = ("models", name)
        if not name or len(name) > _MAX_MODEL_CHARACTERS or _CONTROL.search(name):
            message = f"a model's name has 1 to {_MAX_MODEL_CHARACTERS} characters and no control characters"
            self._faults.add(path, message)
        if not section.endpoints:
            self._faults.add((*path, "endpoints"), "expected at least one endpoint")
        return Model(
            endpoints=tuple(
                self._endpoint(endpoint, (*path, "endpoints", f"[{index}]"))
                for index, endpoint in enumerate(section.endpoints)
            ),
            strategy=section.strategy,
            name=section.name,
            description=section.description,
            max_input_tokens=section.max_input_tokens,
            max_output_tokens=section.max_output_tokens,
            input_modalities=tuple(section.input_modalities),
            output_modalities=tuple(section.output_modalities),
        )

    def _endpoint(self, section: EndpointSection, path: Path) -> Endpoint:
        providers = self._document.providers
        if section.provider not in providers:
            hint = closest(section.provider, providers)
            self._faults.add((*path, "provider"), f"there is no provider `{section.provider}`; {hint}")
        if not section.model_id or _CONTROL.search(section.model_id):
            self._faults.add((*path, "model_id"), "expected the provider's name of the model")
        headers = self._headers(section.headers, (*path, "headers"))
        overrides = EndpointOverrides(headers, section.timeouts) if headers or section.timeouts else None
        return Endpoint(section.provider, section.model_id, section.weight, overrides)


def _is_absolute(url: str) -> bool:
    return "://" in url


def _what_is_wrong(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "expected an http:// or https:// URL"
    if parts.username is not None or parts.password is not None:
        return "a URL must not hold a user or password: use api_key or headers"
    if not is_complete:
        return f"expected an http:// or https:// URL, got `{url}`"
    if parts.query or parts.fragment:
        return "a base URL has no query and no fragment"
    return None
