"""Where settings come from, and what a file resolves to."""

from pathlib import Path

import pytest

from proxy.config import (
    KNOWN_PROVIDERS,
    Address,
    AuthStyle,
    ConfigError,
    Endpoint,
    Protocol,
    Provider,
    RouteStrategy,
    Secret,
    Settings,
    Timeouts,
    find_config,
    load_settings,
    parse_settings,
    settings_from,
)
from proxy.config.settings import Concurrency, Delivery, EndpointOverrides, HedgeAfter, RouteOptions
from proxy.errors import Failure

DEFAULT_CONFIG = Path(__file__).parents[2] / "config" / "proxy.yaml"


def provider(text: str, **environ: str) -> Provider:
    """The last of the providers in a `providers` section."""
    return list(parse_settings(f"providers:\n{text}", environ).providers.values())[-1]


def urls(provider: Provider) -> dict[str, str]:
    return {str(protocol): each.base_url for protocol, each in provider.protocols.items()}


def test_the_documented_default_loads_on_a_bare_machine() -> None:
    """config/proxy.yaml needs no environment variable, and what it says are the defaults are the defaults."""
    settings = load_settings(DEFAULT_CONFIG, {})

    assert settings.server == Settings().server
    assert settings.admin == Settings().admin
    assert settings.providers["local"].timeouts == Timeouts()
    assert settings.models["gpt-4o"].endpoints[0].provider == "openai"
    assert settings.source == str(DEFAULT_CONFIG)


def test_an_empty_file_gives_the_defaults() -> None:
    """Nothing, or sections without anything in them, are a configuration."""
    assert parse_settings("", {}, "defaults") == Settings()
    assert parse_settings("server:\nmodels:\nproviders:\n", {}, "defaults") == Settings()


def test_without_a_file_every_provider_with_a_key_is_there() -> None:
    """Zero-config takes the known providers whose key is set and not empty, and no others."""
    settings = load_settings(None, {"OPENAI_API_KEY": "sk-1", "GROQ_API_KEY": "", "AZURE_OPENAI_API_KEY": "no-host"})

    assert list(settings.providers) == ["openai"]
    assert settings.providers["openai"].api_key == Secret("sk-1")
    assert settings.source == "environment"


def test_azure_takes_its_host_from_the_environment() -> None:
    """AZURE_OPENAI_ENDPOINT and its key make a provider of the v1 API."""
    environ = {"AZURE_OPENAI_API_KEY": "az", "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/"}
    azure = load_settings(None, environ).providers["azure-openai"]

    assert urls(azure) == {"openai": "https://mine.openai.azure.com/openai/v1"}
    assert azure.protocols[Protocol.OPENAI].auth is AuthStyle.API_KEY
    assert azure.api_key == Secret("az")


@pytest.mark.parametrize("name", ["google", "gemini"])
@pytest.mark.parametrize("variable", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
def test_either_variable_is_googles_key(name: str, variable: str) -> None:
    """Gemini is known by two names, and its key by two variables."""
    assert load_settings(None, {variable: "g"}).providers[name].api_key == Secret("g")


@pytest.mark.parametrize("name", KNOWN_PROVIDERS)
def test_a_known_provider_needs_only_its_name(name: str) -> None:
    """Every known provider resolves to absolute URLs and, where it has a variable, to the key in it."""
    known = KNOWN_PROVIDERS[name]
    environ = dict.fromkeys(known.key_variables, "key")
    if known.endpoint_variable:
        environ[known.endpoint_variable] = "https://host.test"

    resolved = parse_settings(f"providers: {{{name}: }}", environ).providers[name]

    assert all(url.startswith(("https://", "http://localhost:")) for url in urls(resolved).values())
    assert list(resolved.protocols) == list(known.protocols)
    assert bool(resolved.api_key) == bool(known.key_variables)


def test_the_shortest_custom_provider() -> None:
    """`derives` and `base_url` are enough for a local server."""
    local = provider("  local: {derives: openai, base_url: http://127.0.0.1:8000/v1/}")

    assert urls(local) == {"openai": "http://127.0.0.1:8000/v1"}
    assert local.protocols[Protocol.OPENAI].auth is AuthStyle.BEARER
    assert not local.api_key


def test_a_base_url_alone_is_openai_compatible() -> None:
    """That is what people expect of a server that is told by its URL; `auth` still counts."""
    plain = provider("  box: {base_url: http://box/v1, auth: api-key}")

    assert urls(plain) == {"openai": "http://box/v1"}
    assert plain.protocols[Protocol.OPENAI].auth is AuthStyle.API_KEY


def test_protocols_by_url_by_path_and_in_full() -> None:
    """The protocols are those named, in that order, each with its usual auth style unless told."""
    several = provider(
        """
  several:
    base_url: https://host/v1
    protocols:
      anthropic: https://other/v1/
      openai: /openai
      gemini: {base_url: "", auth: query, only: ["models:generateContent"]}
"""
    )

    assert urls(several) == {
        "anthropic": "https://other/v1",
        "openai": "https://host/v1/openai",
        "gemini": "https://host/v1",
    }
    assert several.protocol is Protocol.ANTHROPIC
    assert [each.auth for each in several.protocols.values()] == [
        AuthStyle.X_API_KEY,
        AuthStyle.BEARER,
        AuthStyle.QUERY,
    ]
    assert several.protocols[Protocol.GEMINI].only == ("models:generateContent",)


def test_a_base_url_moves_every_protocol() -> None:
    """A provider that derives a multi-protocol one keeps its paths under another host."""
    moved = provider("  mine: {derives: gemini, base_url: https://gateway/v1beta}")

    assert urls(moved) == {"gemini": "https://gateway/v1beta", "openai": "https://gateway/v1beta/openai"}


def test_a_base_url_moves_a_protocol_with_a_url_of_its_own() -> None:
    """What derives from a provider and has its own base URL sends nothing to the other's hosts."""
    moved = provider("  a: {protocols: {openai: https://a/v1}}\n  b: {derives: a, base_url: https://b/v1}")

    assert urls(moved) == {"openai": "https://b/v1"}


def test_what_a_protocol_leaves_out_is_inherited() -> None:
    """Naming one protocol keeps what is known of it and drops the others."""
    only = provider("  gemini: {protocols: {openai: {auth: api-key}}}")

    assert urls(only) == {"openai": "https://generativelanguage.googleapis.com/v1beta/openai"}
    assert only.protocols[Protocol.OPENAI].auth is AuthStyle.API_KEY


def test_own_auth_wins_over_the_known_one() -> None:
    """A provider's `auth` is for all its protocols save those that say otherwise."""
    azure = provider("  azure-openai: {base_url: https://x/openai/v1, auth: bearer}")
    mixed = provider("  ollama: {auth: x-api-key, protocols: {openai: {auth: none}, anthropic: }}")

    assert azure.protocols[Protocol.OPENAI].auth is AuthStyle.BEARER
    assert [each.auth for each in mixed.protocols.values()] == [AuthStyle.NONE, AuthStyle.X_API_KEY]


def test_derived_through_several() -> None:
    """`derives` follows a chain, in any order of the document."""
    chain = parse_settings(
        """
providers:
  c: {derives: b, timeouts: {idle_s: 7}}
  b: {derives: a, base_url: https://b/v1}
  a: {derives: anthropic, timeouts: {idle_s: 5, connect_s: 3}}
""",
        {},
    ).providers["c"]

    assert urls(chain) == {"anthropic": "https://b/v1", "openai": "https://b/v1"}
    assert chain.timeouts == Timeouts(connect_s=3, idle_s=7)


def test_an_endpoint_overrides_only_what_it_names() -> None:
    """An endpoint's time limits are its provider's save for those that it sets."""
    settings = settings_from(
        {
            "providers": {"a": {"base_url": "http://a/v1", "timeouts": {"first_byte_s": 9}}},
            "models": {
                "m": {
                    "strategy": "load_balance",
                    "endpoints": [
                        {"provider": "a", "model_id": "x", "timeouts": {"idle_s": 3}, "headers": {"X-A": "1"}},
                        {"provider": "a", "model_id": "y", "weight": 2},
                    ],
                }
            },
        }
    )
    model = settings.models["m"]
    first, second = model.endpoints

    assert model.strategy is RouteStrategy.LOAD_BALANCE
    assert first.overrides is not None
    assert first.overrides.timeouts == Timeouts(first_byte_s=9, idle_s=3)
    assert first.overrides.headers == (("X-A", Secret("1")),)
    assert second == Endpoint("a", "y", 2)


def test_time_limits_are_merged_from_provider_route_and_endpoint() -> None:
    """Each limit is the innermost one that is set; nothing is left to decide when a request comes."""
    model = parse_settings(
        """
providers:
  a: {base_url: http://a/v1, timeouts: {connect_s: 1, first_byte_s: 1, idle_s: 1}}
models:
  m:
    timeouts: {first_byte_s: 2, idle_s: 2}
    endpoints:
      - {provider: a, model_id: x, timeouts: {idle_s: 3}, concurrency: {requests: 5, wait_s: 1}}
      - {provider: a, model_id: y, max_input_tokens: 1000}
""",
        {},
    ).models["m"]

    assert [each.overrides for each in model.endpoints] == [
        EndpointOverrides((), Timeouts(1, 2, 3), Concurrency(5, wait_s=1)),
        EndpointOverrides((), Timeouts(1, 2, 2), max_input_tokens=1000),
    ]


def test_a_routes_options() -> None:
    """The options stand flat in the model's section; an empty list to fail over on is a decision."""
    models = parse_settings(
        """
providers: {a: {base_url: http://a/v1}}
models:
  usual: {endpoints: &e [{provider: a, model_id: x}], failover_on: }
  never: {endpoints: *e, failover_on: [], hedge_after: 1.5}
  all:
    endpoints: *e
    failover_on: [connect, rate_limited]
    delivery: whole
    hedge_after: p95
    ping_s: "${PING}"
    sticky_header: X-Session
""",
        {"PING": "15"},
    ).models

    assert models["usual"].options == RouteOptions()
    assert models["never"].options == RouteOptions((), hedge_after=1.5)
    assert models["all"].options == RouteOptions(
        (Failure.CONNECT, Failure.RATE_LIMITED), Delivery.WHOLE, HedgeAfter.P95, 15, "X-Session"
    )


def test_a_mapping_takes_nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`settings_from` neither expands nor looks for keys."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    openai = settings_from({"providers": {"openai": {"headers": {"X-A": "${HOME}"}}}}).providers["openai"]

    assert not openai.api_key
    assert openai.headers == (("X-A", Secret("${HOME}")),)


def test_config_files_are_found_in_order(tmp_path: Path) -> None:
    """The file named wins over the variable's, that over the checkout's, that over the user's."""
    cwd, home = tmp_path / "cwd", tmp_path / "home"
    usual, users = cwd / "config/proxy.yaml", home / ".config/pointsman/proxy.yaml"
    named, by_variable = tmp_path / "named.yaml", tmp_path / "variable.yaml"
    environ = {"POINTSMAN_CONFIG": str(by_variable)}
    for file in (usual, users, named, by_variable):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    assert find_config(named, environ, cwd, home) == named
    assert find_config(None, environ, cwd, home) == by_variable
    assert find_config(None, {}, cwd, home) == usual
    usual.unlink()
    assert find_config(None, {}, cwd, home) == users
    users.unlink()
    assert find_config(None, {}, cwd, home) is None
    by_variable.unlink()
    with pytest.raises(ConfigError, match=r"variable\.yaml: POINTSMAN_CONFIG names"):
        find_config(None, environ, cwd, home)
    named.unlink()
    with pytest.raises(ConfigError, match=r"named\.yaml: this file was asked for"):
        find_config(named, environ, cwd, home)


@pytest.mark.parametrize(("content", "message"), [(None, "can't be read"), (b"a: \xff", "is not UTF-8")])
def test_an_unreadable_file_is_a_fault(tmp_path: Path, content: bytes | None, message: str) -> None:
    """A directory and bytes that are no text are told like any other fault."""
    file = tmp_path / "proxy.yaml"
    file.mkdir() if content is None else file.write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        load_settings(file, {})


@pytest.mark.parametrize(
    ("text", "address", "is_loopback"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80), True),
        ("[::1]:0", Address("::1", 0), True),
        ("localhost:1", Address("localhost", 1), True),
        ("0.0.0.0:1", Address("0.0.0.0", 1), False),
        ("127.example.com:1", Address("127.example.com", 1), False),
    ],
)
def test_addresses(text: str, address: Address, is_loopback: bool) -> None:
    """An address reads back as it is written, and a host name is loopback only if it is `localhost`."""
    assert Address.parse(text) == address
    assert str(address) == text
    assert address.is_loopback is is_loopback
