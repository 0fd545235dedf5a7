"""What `check` shows, and that no secret is ever in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import ConfigError, describe_settings, parse_settings, settings_from

# Long and of few letters, so that no part of one stands anywhere by chance.
secrets = st.text("QZJXVK", min_size=12, max_size=20)


@given(key=secrets, header=secrets, password=secrets, token=secrets, override=secrets)
def test_no_secret_is_ever_shown(key: str, header: str, password: str, token: str, override: str) -> None:
    """Neither repr nor str nor description has any secret, nor a part of one."""
    settings = settings_from(
        {
            "admin": {"token": token},
            "providers": {
                "a": {
                    "base_url": "https://a/v1",
                    "api_key": key,
                    "headers": {"X-A": header},
                    "proxy": f"http://{password}:{password}@proxy:3128",
                }
            },
            "models": {"m": {"endpoints": [{"provider": "a", "model_id": "x", "headers": {"X-B": override}}]}},
        }
    )
    shown = f"{settings!r} {settings} {json.dumps(describe_settings(settings))}"

    for secret in (key, header, password, token, override):
        assert not any(secret[at : at + 4] in shown for at in range(len(secret) - 3))
    assert "http://***@proxy:3128" in shown


@given(
    secret=secrets,
    place=st.sampled_from(
        [
            "server: {{listen: '{0}'}}",
            "server: {{max_body_bytes: '{0}'}}",
            "providers: {{a: {{base_url: '{0}'}}}}",
            "providers: {{a: {{base_url: 'ftp://{0}'}}}}",
            "providers: {{a: {{base_url: 'http://h/v1', proxy: '{0}'}}}}",
            "providers: {{a: {{base_url: 'http://h/v1', auth: '{0}'}}}}",
            "providers: {{a: {{base_url: 'http://h/v1', ca_bundle: '{0}'}}}}",
            "providers: {{a: {{derives: '{0}'}}}}",
            "providers: {{a: {{base_url: 'http://h/v1', headers: '{0}'}}}}",
            "models: {{m: {{endpoints: [{{provider: '{0}', model_id: x}}]}}}}",
            "models: {{m: {{endpoints: '{0}'}}}}",
        ]
    ),
)
def test_no_fault_shows_what_the_environment_held(secret: str, place: str) -> None:
    """A key in the wrong place is told as the reference that brought it there."""
    with pytest.raises(ConfigError) as raised:
        parse_settings(place.format("${SECRET}"), {"SECRET": secret}, "p.yaml")

    assert secret not in str(raised.value)


@pytest.mark.parametrize("url", ["ftp://user:hunter2@h", "http://user:hunter2@h", "http://user:hunter2@h:x"])
@pytest.mark.parametrize("key", ["base_url", "proxy"])
def test_no_fault_shows_a_password_in_a_url(key: str, url: str) -> None:
    """What stands before the @ is not repeated, whatever is wrong with the URL."""
    text = f"providers: {{a: {{base_url: 'x', {key}: '{url}'}}}}".replace("base_url: 'x', base_url", "base_url")
    with pytest.raises(ConfigError) as raised:
        parse_settings(text, {})

    assert "hunter2" not in str(raised.value)


def test_a_description_is_complete() -> None:
    """Everything that was decided is in it, as JSON has it."""
    described: dict[str, Any] = describe_settings(
        settings_from(
            {
                "server": {"listen": "[::1]:0"},
                "providers": {"a": {"derives": "anthropic", "api_key": "k"}},
                "models": {"m": {"endpoints": [{"provider": "a", "model_id": "x"}], "max_input_tokens": 9}},
            }
        )
    )

    assert json.loads(json.dumps(described)) == described
    assert described["server"]["listen"] == described["admin"]["listen"] == "[::1]:0"
    assert described["admin"]["token"] is None
    assert described["providers"]["a"]["api_key"] == "***"
    assert described["providers"]["a"]["protocols"]["openai"] == {
        "base_url": "https://api.anthropic.com/v1",
        "auth": "bearer",
        "only": ["chat/completions", "models"],
    }
    assert described["providers"]["a"]["timeouts"] == {
        "connect_s": 10,
        "first_byte_s": 120,
        "idle_s": 60,
        "total_s": 3600,
        "websocket_idle_s": 3600,
    }
    assert described["models"]["m"]["endpoints"] == [{"provider": "a", "model_id": "x", "weight": 1}]
    assert described["models"]["m"]["delivery"] == "live"
    assert described["models"]["m"]["max_input_tokens"] == 9
    assert described["warnings"] == []


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("", ["providers: there are none, so nothing can be routed"]),
        ("providers: {ollama: }", []),
        ("providers: {a: {base_url: https://h/v1, auth: none}}", []),
        (
            "providers: {openai: }\nmodels: {m: {endpoints: [{provider: openai, model_id: x}]}}",
            [
                (
                    "providers.openai: no key, so requests go there without a credential; "
                    "set OPENAI_API_KEY in the environment, or api_key"
                ),
                "models.m: leads to openai, which has no key",
            ],
        ),
        (
            "providers: {openai: {base_url: https://elsewhere/v1}}",
            [
                (
                    "providers.openai: no key, so requests go there without a credential; "
                    "set api_key, since OPENAI_API_KEY is sent to the host only that it is meant for"
                )
            ],
        ),
        (
            "{server: {listen: '0.0.0.0:80'}, providers: {ollama: }}",
            ["admin.token: not set, so the proxy won't start with its admin plane on 0.0.0.0:80"],
        ),
    ],
)
def test_warnings(text: str, warnings: list[str]) -> None:
    """What will work otherwise than one may think is said beforehand."""
    assert describe_settings(parse_settings(text, {}))["warnings"] == warnings
