"""`${NAME}` in a config file, and which key goes where."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import ConfigError, Secret, parse_settings
from proxy.config.source import expand

names = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(text=texts.filter(lambda text: "${" not in text))
def test_text_without_a_reference_stays(text: str) -> None:
    """A lone `$` has no meaning, nor have two."""
    assert expand(text, {}) == text


@given(before=texts.filter(lambda t: "$" not in t), name=names, value=texts, after=texts.filter(lambda t: "$" not in t))
def test_a_reference_becomes_the_value(before: str, name: str, value: str, after: str) -> None:
    """The value is taken as it is: what looks like a reference in it is none."""
    assert expand(f"{before}${{{name}}}{after}", {name: value}) == before + value + after


@given(name=names, value=texts, default=texts.filter(lambda t: "}" not in t and "$" not in t))
def test_a_default_counts_where_there_is_no_value(name: str, value: str, default: str) -> None:
    """Not set and empty are the same to a default, as in a shell."""
    reference = f"${{{name}:-{default}}}"

    assert expand(reference, {name: value}) == (value or default)
    assert expand(reference, {}) == default


@given(text=texts)
def test_any_text_can_be_written(text: str) -> None:
    """With `$${` for `${`, no text is out of reach, unless a `$` stands right before."""
    if "$${" not in text:
        assert expand(text.replace("${", "$${"), {}) == text


@pytest.mark.parametrize("broken", ["${", "${A", "${A B}", "${1}", "${A:default}"])
def test_a_broken_reference_is_a_fault(broken: str) -> None:
    """What begins like a reference and is none was meant as one."""
    with pytest.raises(ConfigError, match=r"p\.yaml:1: admin\.token: expected \$\{NAME\}"):
        parse_settings(f"admin: {{token: '{broken}'}}", {"A": "a"}, "p.yaml")


def test_every_unset_variable_is_told() -> None:
    """Also two in one value."""
    with pytest.raises(ConfigError) as raised:
        parse_settings("admin:\n  token: ${A}${B}\n  listen: ${C}", {}, "p.yaml")

    assert [(fault.line, fault.path) for fault in raised.value.faults] == [(2, "admin.token"), (3, "admin.listen")]
    assert "variable A is not set" in str(raised.value)
    assert "variable B is not set" in str(raised.value)


def test_values_from_the_environment_have_the_type_of_their_place() -> None:
    """A number may come from the environment, and a key of digits stays a key."""
    settings = parse_settings(
        "server: {max_body_bytes: '${SIZE}', client_idle_s: '${IDLE}'}\nadmin:\n  token: ${TOKEN}",
        {"SIZE": "1000", "IDLE": "2.5", "TOKEN": "123"},
    )

    assert (settings.server.max_body_bytes, settings.server.client_idle_s) == (1000, 2.5)
    assert settings.admin.token == Secret("123")


def test_a_value_that_the_environment_leaves_empty_is_not_given() -> None:
    """So every key can be left to the environment."""
    settings = parse_settings(
        """
admin: {listen: "${A:-}", token: "${A:-}"}
providers: {openai: {base_url: "${A:-}", ca_bundle: "${A:-}", proxy: "${A:-}", timeouts: {idle_s: "${A:-}"}}}
""",
        {"OPENAI_API_KEY": "sk"},
    )

    assert settings.admin.listen is None
    assert settings.providers["openai"].api_key == Secret("sk")


def test_an_empty_key_is_a_decision() -> None:
    """`api_key` that comes out empty is no key, and not the environment's."""
    settings = parse_settings("providers: {openai: {api_key: '${MINE:-}'}}", {"OPENAI_API_KEY": "sk"})

    assert not settings.providers["openai"].api_key


@pytest.mark.parametrize(
    ("section", "keeps"),
    [
        ("openai: ", True),
        ("openai: {base_url: https://api.openai.com/v2}", True),
        ("openai: {base_url: https://API.openai.com:443/v1}", True),
        ("openai: {base_url: http://api.openai.com/v1}", False),
        ("openai: {base_url: https://api.openai.com.evil.test/v1}", False),
        ("openai: {base_url: https://api.openai.com:8443/v1}", False),
        ("openai: {protocols: {openai: https://evil.test/v1}}", False),
        ("openai: {protocols: {openai: '', anthropic: https://evil.test/v1}}", False),
        ("openai: {derives: groq}", False),
        ("mine: {derives: openai}", False),
        ("mine: {derives: openai, base_url: https://evil.test/v1}", False),
    ],
)
def test_the_environments_key_goes_only_home(section: str, keeps: bool) -> None:
    """OPENAI_API_KEY is sent to OpenAI's own scheme, host and port under its own name, and nowhere else."""
    settings = parse_settings(f"providers: {{{section}}}", {"OPENAI_API_KEY": "sk", "GROQ_API_KEY": "gsk"})

    assert next(iter(settings.providers.values())).api_key == Secret("sk" if keeps else "")


def test_nothing_secret_is_derived() -> None:
    """Neither a key nor a header nor an outgoing proxy is carried over to another host."""
    settings = parse_settings(
        """
providers:
  a: {base_url: https://a/v1, api_key: k, headers: {X-Key: h}, proxy: "http://u:p@proxy:1"}
  b: {derives: a, base_url: https://b/v1}
""",
        {},
    )
    derived = settings.providers["b"]

    assert (derived.api_key, derived.headers, derived.proxy) == (Secret(""), (), Secret(""))


def test_azures_key_stays_with_its_endpoint() -> None:
    """Where each customer has a host of their own, the key is meant for the one in the environment."""
    environ = {"AZURE_OPENAI_API_KEY": "az", "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com"}
    elsewhere = parse_settings("providers: {azure-openai: {base_url: https://other/openai/v1}}", environ)

    assert not elsewhere.providers["azure-openai"].api_key
