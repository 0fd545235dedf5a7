"""Every fault of a config file is told at once: where it is, what was expected, and never a secret."""

from collections.abc import Mapping

import pytest

from proxy.config import ConfigError, parse_settings, settings_from


def faults(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse_settings(text, environ, "p.yaml")
    assert str(raised.value).splitlines() == [str(fault) for fault in raised.value.faults]
    return [str(fault) for fault in raised.value.faults]


def test_all_faults_come_at_once_in_the_order_of_lines() -> None:
    """One run of `check` is enough to mend a file."""
    found = faults(
        """\
server: {listen: "8080", max_body_bytes: -1, foo: 1}
providers:
  openai:
    base_url: foo
    api_keyy: x
  lost: {derives: opeai, auth: bearr}
models:
  a: {endpoints: []}
  b:
    endpoints:
      - {provider: openia, model_id: 4}
      - {provider: mistral}
"""
    )

    assert found == [
        'p.yaml:1: server.listen: expected HOST:PORT, such as 127.0.0.1:8787 or [::1]:8787, got "8080"',
        'p.yaml:1: server.max_body_bytes: expected a whole number >= 1, got "-1"',
        (
            "p.yaml:1: server.foo: unknown key; known: listen, max_body_bytes, client_idle_s, shutdown_grace_s, "
            "shutdown_idle_s, reuse_port, watch_config_s, deadline_header, access_log"
        ),
        'p.yaml:4: providers.openai.base_url: expected an http(s) URL (without a query or fragment), got "foo"',
        "p.yaml:5: providers.openai.api_keyy: unknown key; did you mean `api_key`?",
        (
            "p.yaml:6: providers.lost.derives: expected a configured or known provider (did you mean `openai`?), "
            'got "opeai"'
        ),
        "p.yaml:6: providers.lost.auth: expected one of bearer, x-api-key, api-key, x-goog-api-key, query, none",
        "p.yaml:8: models.a.endpoints: expected at least one endpoint",
        (
            "p.yaml:11: models.b.endpoints[0].provider: expected a configured provider (did you mean `openai`?), "
            'got "openia"'
        ),
        'p.yaml:11: models.b.endpoints[0].model_id: expected text (in quotes), got "4"',
        (
            "p.yaml:12: models.b.endpoints[1].provider: expected a configured provider (add `mistral:` under "
            '`providers`), got "mistral"'
        ),
        "p.yaml:12: models.b.endpoints[1]: `model_id` is missing",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "p.yaml:1: this is not YAML: "),
        ("server:\n\tlisten: x", "p.yaml:2: this is not YAML: "),
        ("a: \x07", "p.yaml:1: this is not YAML: character U+0007"),
        ("- a", "p.yaml:1: expected a mapping of server, admin, tracing, providers, models"),
        ("a: !!python/name:os.system x", "p.yaml:1: a: "),
        ("server: !thing {}", "p.yaml:1: server: expected no tag, got !thing"),
        ("? [a]\n: b", "p.yaml:1: expected a key of plain text"),
        ("admin: {}\nserver: {}\nadmin: {}", "p.yaml:3: admin: this key stands twice, first in line 1"),
        ("server: {<<: 4}", "p.yaml:1: server: expected << to name a mapping"),
        ("servr: {}", "p.yaml:1: servr: unknown key; did you mean `server`?"),
        ("admin: {token: 12345}", "p.yaml:1: admin.token: expected text (put it in quotes)"),
        ("admin: {token: [a]}", "p.yaml:1: admin.token: expected text (put it in quotes)"),
        ('admin: {token: "a\\nb"}', "p.yaml:1: admin.token: expected text without line breaks"),
        ("admin: {listen: 'h:99999'}", "p.yaml:1: admin.listen: expected HOST:PORT"),
        (
            "admin: {tokens: [{name: local, role: viewer, hash: 'sha256:x'}]}",
            "p.yaml:1: admin.tokens[0].name: expected a name of at most 64 letters",
        ),
        (
            "admin: {tokens: [{name: a, role: root}]}",
            "p.yaml:1: admin.tokens[0].role: expected one of viewer, operator",
        ),
        ("admin: {tokens: [{name: a, role: viewer}]}", "p.yaml:1: admin.tokens[0]: `hash` is missing"),
        ("admin: {hosts: ['http://a']}", "p.yaml:1: admin.hosts[0]: expected a host's name or address without a port"),
        ("admin: {hosts: ['a:80']}", "p.yaml:1: admin.hosts[0]: expected a host's name or address without a port"),
        ("admin: {listen: '[:::::]:1'}", "p.yaml:1: admin.listen: expected HOST:PORT"),
        ("server: {client_idle_s: .nan}", "p.yaml:1: server.client_idle_s: expected a number > 0.0"),
        ("server: {client_idle_s: .inf}", "p.yaml:1: server.client_idle_s: expected a number <= 86400"),
        ("server: {shutdown_grace_s: -1}", "p.yaml:1: server.shutdown_grace_s: expected a number >= 0"),
        ("server: {max_body_bytes: yes}", "p.yaml:1: server.max_body_bytes: expected a whole number, got"),
        ("server: {max_body_bytes: {}}", "p.yaml:1: server.max_body_bytes: expected a whole number, got a mapping"),
        (
            'providers: {"a:b": {base_url: http://h}}',
            'p.yaml:1: providers."a:b": as a key, expected a provider\'s name',
        ),
        ("providers: {a/b: {base_url: http://h}}", 'p.yaml:1: providers."a/b": as a key, expected a provider\'s name'),
        ("providers: {opnai: }", "p.yaml:1: providers.opnai: needs a base_url: no provider is known by that name"),
        ("providers: {azure-openai: }", "needs a base_url, or AZURE_OPENAI_ENDPOINT in the environment"),
        ("providers: {a: {protocols: {openai: /v1}}}", "p.yaml:1: providers.a: needs a base_url"),
        ("providers: {a: {derives: b}, b: {derives: a}}", "providers.b.derives: a circle: a -> b -> a"),
        ("providers: {a: {base_url: 'http://h?x=1'}}", "expected an http(s) URL (without a query or fragment)"),
        ("providers: {a: {base_url: 'http://h#x'}}", "expected an http(s) URL (without a query or fragment)"),
        ("providers: {a: {base_url: 'http://h:x'}}", "expected an http(s) URL"),
        ("providers: {a: {base_url: 'http://h/ x'}}", "expected an http(s) URL"),
        ("providers: {a: {base_url: 'http:///v1'}}", "expected an http(s) URL"),
        ("providers: {a: {base_url: 'http://k@h'}}", "without a name or password in it"),
        ("providers: {a: {protocols: {opnai: http://h}}}", "protocols.opnai: unknown key; did you mean `openai`?"),
        ("providers: {a: {protocols: {openai: h/v1}}}", "providers.a.protocols.openai: expected an http(s) URL"),
        ("providers: {a: {base_url: http://h, headers: {'a b': c}}}", "as a key, expected the name of a header"),
        ("providers: {a: {base_url: http://h, headers: {Content-Length: c}}}", "belongs to the connection itself"),
        ("providers: {a: {base_url: http://h, ca_bundle: /nowhere.pem}}", "expected a readable PEM file"),
        ("providers: {a: {base_url: http://h, ca_bundle: /dev/null}}", "expected a readable PEM file"),
        ("providers: {a: {base_url: http://h, proxy: h:3128}}", "expected the outgoing proxy's URL"),
        ("providers: {a: {base_url: http://h, timeouts: {idle_s: -3}}}", "timeouts.idle_s: expected a number > 0"),
        ("models: {m: }", "p.yaml:1: models.m: `endpoints` is missing"),
        ('models: {"": {endpoints: []}}', 'p.yaml:1: models."": as a key, expected a model\'s name'),
        ('models: {"a\\nb": {endpoints: []}}', "as a key, expected a model's name"),
        ("models: {m: {failover_on: [cut], endpoints: []}}", "m.failover_on[0]: expected one of connect, broken"),
        ("models: {m: {failover_on: connect, endpoints: []}}", 'm.failover_on: expected a list, got "connect"'),
        ("models: {m: {delivery: slow, endpoints: []}}", "m.delivery: expected one of live, whole"),
        ("models: {m: {hedge_after: p99, endpoints: []}}", 'm.hedge_after: expected seconds, or p95, got "p99"'),
        ("models: {m: {hedge_after: 0, endpoints: []}}", "m.hedge_after: expected seconds, or p95"),
        ("models: {m: {hedge_after: [1], endpoints: []}}", "m.hedge_after: expected seconds, or p95, got a list"),
        ("models: {m: {ping_s: 0, endpoints: []}}", "m.ping_s: expected a number > 0"),
        ("models: {m: {sticky_header: a b, endpoints: []}}", "m.sticky_header: expected the name of a header"),
        ("models: {m: {timeouts: {idle: 1}, endpoints: []}}", "m.timeouts.idle: unknown key; did you mean `idle_s`?"),
        ("providers: {a: {base_url: http://h, concurrency: {waiting: 1}}}", "a.concurrency: `requests` is missing"),
        ("providers: {a: {base_url: http://h, concurrency: {requests: 0}}}", "requests: expected a whole number >= 1"),
        ("models: {m: {strategy: prio, endpoints: []}}", "strategy: expected one of priority, load_balance"),
    ],
)
def test_fault(text: str, told: str) -> None:
    """Each mistake has its place and its message."""
    assert any(told in fault for fault in faults(text)), faults(text)


def test_an_alias_shares_its_text_and_not_its_place() -> None:
    """Anchors, aliases and merge keys work, also of a mapping that itself merges one in."""
    settings = parse_settings(
        """
providers:
  a: &a {base_url: http://h/v1, headers: &h {X-A: "1"}, timeouts: &t {idle_s: 5}}
  b: &b {<<: *a, base_url: http://b/v1, timeouts: {<<: *t, connect_s: 2}}
  c: *b
  d: {<<: [*b, *a], auth: none}
""",
        {},
    )
    a, b, c, d = settings.providers.values()

    assert (b.timeouts.idle_s, b.timeouts.connect_s) == (5, 2)
    assert next(iter(c.protocols.values())).base_url == "http://b/v1"
    assert next(iter(d.protocols.values())).base_url == "http://b/v1"
    assert a.headers == b.headers == c.headers


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unfold", ["[{0}]", "{{x: 1, <<: [{0}]}}"])
def test_aliases_unfold_within_bounds(unfold: str) -> None:
    """A short document that unfolds to billions of values is refused in no time."""
    levels = ["l0: &l0 {x: 1}"]
    levels += [f"l{n}: &l{n} " + unfold.format(", ".join([f"*l{n - 1}"] * 9)) for n in range(1, 30)]

    assert any("this unfolds to more than" in fault for fault in faults("\n".join(levels)))


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}", "[" * 5000 + "]" * 5000])
def test_bottomless_documents_are_refused(text: str) -> None:
    """What holds itself, and what is nested beyond all sense, is a fault."""
    assert any("this unfolds to more than" in fault for fault in faults(text))


def test_keys_are_text_whatever_yaml_makes_of_them() -> None:
    """A model may be called `on` or `4.1` without quotes."""
    text = (
        "{providers: {a: {base_url: 'http://h'}}, models: {on: &m {endpoints: [{provider: a, model_id: x}]}, 4.1: *m}}"
    )

    assert list(parse_settings(text, {}).models) == ["on", "4.1"]


@pytest.mark.parametrize("mapping", [{"models": {4: {}}}, {4: 1}, {"providers": [1]}])
def test_a_mapping_has_faults_too(mapping: Mapping[str, object]) -> None:
    """Without a file there are no lines, but paths."""
    with pytest.raises(ConfigError, match="<mapping>: "):
        settings_from(mapping)


@pytest.mark.parametrize(
    "wrong",
    [
        "listen: s3cret",
        "listen: [s3cret]",
        "tokens: s3cret",
        "tokens: [s3cret]",
        "tokens: [{name: s3cret/token, role: viewer, hash: x}]",
        "tokens: [{name: a, role: s3cret, hash: s3cret}]",
        "tokens: [{name: a, role: viewer, hash: s3cret}]",
        "hosts: s3cret",
        "hosts: ['s3cret/']",
        "secure_cookies: s3cret",
        "audit: [s3cret]",
    ],
)
def test_a_token_in_the_wrong_place_is_not_shown(wrong: str) -> None:
    """Whatever stands below `admin` may be a token; a fault says what was expected, and no more."""
    found = faults(f"admin:\n  {wrong}")

    assert found
    assert not any("s3cret" in fault for fault in found)


@pytest.mark.parametrize(("other", "key"), [("name: a, hash", "name"), ("name: b, hash", "hash")])
def test_tokens_are_told_apart(other: str, key: str) -> None:
    """Of each name and each hash there is one, or nobody could say whose it is."""
    hashes = [f"sha256:{'0' * 64}", f"sha256:{'0' * 64 if key == 'hash' else '1' * 64}"]
    found = faults(
        f"""\
admin:
  tokens:
    - {{name: a, role: viewer, hash: "{hashes[0]}"}}
    - {{{other}: "{hashes[1]}", role: admin}}
"""
    )
    assert found == [f"p.yaml:4: admin.tokens[1].{key}: another token has the same {key}"]
