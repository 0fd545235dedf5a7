"""Where settings come from: a YAML file, a plain mapping, or the environment alone."""

from collections.abc import Mapping
from pathlib import Path

from proxy.config.build import Builder
from proxy.config.faults import ConfigError, Fault, Faults
from proxy.config.known import KNOWN_PROVIDERS
from proxy.config.sections import read_document
from proxy.config.settings import Settings
from proxy.config.source import read_yaml


def find_config(explicit: Path | None, environ: Mapping[str, str], cwd: Path, home: Path) -> Path | None:
    """The file to use: the explicit one, `$POINTSMAN_CONFIG`'s, the project's or the user's; None if there is none.

    Raises `ConfigError` if a file that was asked for by name is missing.
    """
    named = explicit or (Path(environ["POINTSMAN_CONFIG"]) if environ.get("POINTSMAN_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError([Fault(str(named), None, "", "there is no such file")])
        return named
    usual = (cwd / "config" / "proxy.yaml", home / ".config" / "pointsman" / "proxy.yaml")
    return next((path for path in usual if path.is_file()), None)


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a config file or, without one, every known provider whose key is in the environment.

    Raises `ConfigError` with every fault.
    """
    if path is None:
        return _settings({"providers": dict.fromkeys(_providers_with_key(environ))}, environ, Faults("environment"))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(path), None, "", f"can't be read: {error}")]) from error
    return parse_settings(text, environ, str(path))


def parse_settings(text: str, environ: Mapping[str, str], source: str = "<text>") -> Settings:
    """The settings in a YAML text; raises `ConfigError` with every fault."""
    faults = Faults(source)
    return _settings(read_yaml(text, environ, faults), environ, faults)


def settings_from(document: Mapping[str, object]) -> Settings:
    """The settings in a plain mapping of the file's shape, nothing taken from the environment; raises `ConfigError`."""
    return _settings(dict(document), {}, Faults("<mapping>"))


def _settings(document: object, environ: Mapping[str, str], faults: Faults) -> Settings:
    settings = Builder(read_document(document, faults), environ, faults).build(faults.file)
    faults.raise_if_any()
    return settings


def _providers_with_key(environ: Mapping[str, str]) -> list[str]:
    return [
        name
        for name, known in KNOWN_PROVIDERS.items()
        if known.key_variable is not None
        and environ.get(known.key_variable)
        and (known.endpoint_variable is None or environ.get(known.endpoint_variable))
    ]
