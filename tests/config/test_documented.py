"""What can be configured is documented: in the default file, whose comments explain it, and in the reference."""

import re
from pathlib import Path

import msgspec
import pytest

from proxy.config import (
    KNOWN_PROVIDERS,
    Admin,
    AuthStyle,
    Limits,
    NamedToken,
    Role,
    RouteStrategy,
    Server,
    Timeouts,
    parse_settings,
)
from proxy.config.document import Document, EndpointEntry, ModelEntry, ProtocolEntry, ProviderEntry, TracingEntry
from proxy.config.settings import FAILED_OVER, Concurrency, Delivery, HedgeAfter

ROOT = Path(__file__).parents[2]
DEFAULT_CONFIG = (ROOT / "config" / "proxy.yaml").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
SECTIONS: list[type[msgspec.Struct]] = [
    Document,
    Server,
    Admin,
    TracingEntry,
    NamedToken,
    ProviderEntry,
    ProtocolEntry,
    Timeouts,
    Limits,
    Concurrency,
    ModelEntry,
    EndpointEntry,
]
KEYS = sorted({field.name for section in SECTIONS for field in msgspec.structs.fields(section)})
EXAMPLES = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_documented(key: str) -> None:
    """Each key stands in the default file, live or commented out, and in the reference."""
    assert re.search(rf"^[\s#{{-]*{key}:", DEFAULT_CONFIG, re.MULTILINE)
    assert f"`{key}`" in REFERENCE


@pytest.mark.parametrize("choice", [*AuthStyle, *Role, *RouteStrategy, *FAILED_OVER, *Delivery, *HedgeAfter])
def test_every_choice_is_documented(choice: str) -> None:
    """Each auth style and strategy stands in both as well."""
    assert choice in DEFAULT_CONFIG
    assert f"`{choice}`" in REFERENCE


@pytest.mark.parametrize("name", KNOWN_PROVIDERS)
def test_every_known_provider_is_documented(name: str) -> None:
    """The table has each with its base URL and all its key variables."""
    known = KNOWN_PROVIDERS[name]
    row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `{name}` |"))

    assert (known.base_url or f"${known.endpoint_variable}{known.endpoint_path}") in row
    assert all(f"`{variable}`" in row for variable in known.key_variables)
    assert all(f"`{protocol}`" in row for protocol in known.protocols)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_works(example: str) -> None:
    """The reference's examples are configurations, given their variables (and a PEM file where this machine has one)."""
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", example), "value")

    assert parse_settings(re.sub(r" +ca_bundle: .*\n", "", example), variables).providers
