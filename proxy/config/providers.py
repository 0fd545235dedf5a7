"""Provider entries -> providers: what is derived, what is known, and which key goes where.

The rule for credentials: a key goes only to the host that it was given for. So nothing derived carries a key or a
header over, and the environment's key of a known provider stays home when its entry points elsewhere.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from proxy.config.document import ProtocolEntry, ProviderEntry, UrlOrPath
from proxy.config.faults import did_you_mean
from proxy.config.known import KNOWN_PROVIDERS, KnownProvider
from proxy.config.secret import Secret
from proxy.config.settings import AuthStyle, Limits, ProtocolSettings, Provider, Timeouts
from proxy.config.source import Source
from proxy.errors import Protocol

_USUAL_AUTH = {
    Protocol.OPENAI: AuthStyle.BEARER,
    Protocol.ANTHROPIC: AuthStyle.X_API_KEY,
    Protocol.GEMINI: AuthStyle.X_GOOG_API_KEY,
}
_ONLY_OPENAI = {Protocol.OPENAI: ProtocolEntry(UrlOrPath(""))}


class _Blueprint(NamedTuple):
    """What one provider can take from another: all but its credentials."""

    base_url: str | None = None
    protocols: Mapping[Protocol, ProtocolEntry] = _ONLY_OPENAI
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()


class ProviderResolver:
    """Makes providers out of all entries of one document.

    Args:
        entries: the `providers` section.
        source: where faults are recorded.
        environ: holds the keys of known providers.
    """

    def __init__(self, entries: Mapping[str, ProviderEntry], source: Source, environ: Mapping[str, str]) -> None:
        self._entries = entries
        self._source = source
        self._environ = environ

    def providers(self) -> dict[str, Provider]:
        """Every provider whose entry is sound, in the order of the document."""
        found = {name: self._provider(name) for name in self._entries if self._source.is_sound(("providers", name))}
        return {name: provider for name, provider in found.items() if provider is not None}

    def _provider(self, name: str) -> Provider | None:
        entry = self._entries[name]
        blueprint = self._blueprint(name, (name,))
        if blueprint is None:
            return None
        protocols: dict[Protocol, ProtocolSettings] = {}
        for protocol, way in blueprint.protocols.items():
            base_url = _join(blueprint.base_url, way.base_url or "")
            if base_url is None:
                self._source.fault(("providers", name), self._no_address(name))
                return None
            protocols[protocol] = ProtocolSettings(base_url, way.auth or _USUAL_AUTH[protocol], way.only or ())
        return Provider(
            name=name,
            protocols=protocols,
            api_key=self._own_key(name, protocols) if entry.api_key is None else entry.api_key,
            headers=tuple(entry.headers.items()),
            timeouts=blueprint.timeouts,
            limits=blueprint.limits,
            probe=entry.probe,
            concurrency=entry.concurrency,
            ca_bundle=entry.ca_bundle,
            proxy=entry.proxy or Secret(""),
        )

    def _blueprint(self, name: str, way: tuple[str, ...]) -> _Blueprint | None:
        """A provider's entry over what it derives; `way` holds the names that led here. None if there was a fault."""
        entry = self._entries[name]
        parent = self._parent(name, entry, way)
        if parent is None:
            return None
        protocols = dict(parent.protocols)
        if entry.base_url is not None:
            protocols = {protocol: _moved(inherited) for protocol, inherited in protocols.items()}
        if entry.protocols:
            protocols = {
                protocol: _over(written, protocols.get(protocol)) for protocol, written in entry.protocols.items()
            }
        if entry.auth is not None:
            protocols = {
                protocol: _with_auth(each, entry.auth, entry.protocols.get(protocol))
                for protocol, each in protocols.items()
            }
        return _Blueprint(
            entry.base_url if entry.base_url is not None else parent.base_url,
            protocols,
            msgspec.structs.replace(parent.timeouts, **entry.timeouts),
            msgspec.structs.replace(parent.limits, **entry.limits),
        )

    def _parent(self, name: str, entry: ProviderEntry, way: tuple[str, ...]) -> _Blueprint | None:
        derives, at = entry.derives, ("providers", name, "derives")
        if derives is None or derives == name:
            return self._known(name)
        if derives in way:
            self._source.fault(at, f"a circle: {' -> '.join((*way, derives))}")
            return None
        if derives in self._entries:
            # What is wrong further up is a fault of its own there.
            return self._blueprint(derives, (*way, derives)) if self._source.is_sound(("providers", derives)) else None
        return self._known(derives)

    def _known(self, name: str) -> _Blueprint:
        known = KNOWN_PROVIDERS.get(name)
        if known is None:
            return _Blueprint()
        protocols = {
            protocol: ProtocolEntry(UrlOrPath(each.path), each.auth, each.only)
            for protocol, each in known.protocols.items()
        }
        return _Blueprint(known.home(self._environ), protocols)

    def _own_key(self, name: str, protocols: Mapping[Protocol, ProtocolSettings]) -> Secret:
        """The environment's key of a known provider that is asked at its own home, and there only."""
        known = KNOWN_PROVIDERS.get(name)
        if known is None or not is_at_home(known, protocols, self._environ):
            return Secret("")
        return Secret(known.key(self._environ))

    def _no_address(self, name: str) -> str:
        ancestor = self._entries[name].derives or name
        if (known := KNOWN_PROVIDERS.get(ancestor)) and known.endpoint_variable:
            return f"needs a base_url, or {known.endpoint_variable} in the environment"
        return f"needs a base_url: no provider is known by that name; {did_you_mean(name, KNOWN_PROVIDERS)}"


def is_at_home(
    known: KnownProvider, protocols: Mapping[Protocol, ProtocolSettings], environ: Mapping[str, str]
) -> bool:
    """Whether every protocol is asked at the known provider's own scheme, host and port."""
    home = known.home(environ)
    return home is not None and all(_origin(each.base_url) == _origin(home) for each in protocols.values())


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _join(base_url: str | None, place: str) -> str | None:
    """The URL of a protocol that is at `place`: a URL of its own, or a path behind the provider's base URL."""
    if place and not place.startswith("/"):
        return place
    return None if base_url is None else f"{base_url}{place}"


def _moved(inherited: ProtocolEntry) -> ProtocolEntry:
    """What is inherited, for a provider with a base URL of its own: an address elsewhere does not survive that."""
    if inherited.base_url is None or inherited.base_url.startswith("/"):
        return inherited
    return msgspec.structs.replace(inherited, base_url="")


def _over(written: UrlOrPath | ProtocolEntry, inherited: ProtocolEntry | None) -> ProtocolEntry:
    """What is written for a protocol over what is inherited for it."""
    own = written if isinstance(written, ProtocolEntry) else ProtocolEntry(written)
    if inherited is None:
        return own
    given = {name: value for name in own.__struct_fields__ if (value := getattr(own, name)) is not None}
    return msgspec.structs.replace(inherited, **given)


def _with_auth(each: ProtocolEntry, auth: AuthStyle, written: UrlOrPath | ProtocolEntry | None) -> ProtocolEntry:
    """The provider's own auth style, unless the protocol was given one beside it."""
    if isinstance(written, ProtocolEntry) and written.auth is not None:
        return each
    return msgspec.structs.replace(each, auth=auth)
