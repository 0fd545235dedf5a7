"""How many connections a provider gets."""

import pytest

from proxy.config import ConfigError, Limits, describe_settings, parse_settings


def test_limits_are_derived_and_set_one_by_one() -> None:
    """What a provider leaves out comes from the one that it derives, or else is the default."""
    providers = parse_settings(
        """
providers:
  plain: {base_url: http://h/v1}
  base: {derives: openai, limits: {connections: 8, keepalive_s: 2.5}}
  same: {derives: base, limits: {waiting: 0}}
""",
        {},
    ).providers

    assert providers["plain"].limits == Limits(connections=10_000, waiting=1_000, keepalive_s=None)
    assert providers["same"].limits == Limits(connections=8, waiting=0, keepalive_s=2.5)


def test_limits_are_described() -> None:
    """What a file comes to tells them as well."""
    described = describe_settings(parse_settings("providers: {a: {base_url: http://h, limits: {waiting: 3}}}", {}))

    assert described["providers"]["a"]["limits"] == {"connections": 10_000, "waiting": 3, "keepalive_s": None}  # type: ignore[index] # JSON


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        ("{connections: 0}", "limits.connections: expected a whole number >= 1"),
        ("{connections: 1.5}", "limits.connections: expected a whole number"),
        ("{waiting: -1}", "limits.waiting: expected a whole number >= 0"),
        ("{keepalive_s: 0}", "limits.keepalive_s: expected a number > 0"),
        ("{queue: 5}", "limits.queue: unknown key"),
    ],
)
def test_limits_that_are_none(limits: str, fault: str) -> None:
    """No connections at all, halves of one, and keys that aren't there are faults."""
    with pytest.raises(ConfigError) as raised:
        parse_settings(f"providers: {{a: {{base_url: http://h, limits: {limits}}}}}", {})

    assert fault in str(raised.value)
