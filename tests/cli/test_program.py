"""The commands that read a configuration and run the program."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.config import Role, hash_token, parse_settings

GOOD = """\
server: {listen: 127.0.0.1:0}
admin: {token: s3cret-token}
providers:
  local: {derives: openai, base_url: "http://127.0.0.1:9/v1", api_key: s3cret-key}
models:
  fast: {endpoints: [{provider: local, model_id: small}, {provider: local, model_id: large}]}
"""
BAD = """\
server: {listne: 127.0.0.1:0}
models:
  fast: {endpoints: [{provider: nobody, model_id: small}]}
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working and home directory, so that no config file is found but the test's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("POINTSMAN_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def good(nowhere: Path) -> str:
    """A config file that can be used."""
    (nowhere / "good.yaml").write_text(GOOD)
    return "good.yaml"


@pytest.fixture
def bad(nowhere: Path) -> str:
    """A config file with two faults."""
    (nowhere / "bad.yaml").write_text(BAD)
    return "bad.yaml"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="pointsman")


def test_check_prints_what_a_file_comes_to(good: str) -> None:
    """`check` shows listeners, providers and models, and no character of a secret."""
    result = run("check", good)

    assert result.exit_code == 0
    assert "local\topenai\thttp://127.0.0.1:9/v1\tbearer\t***" in result.stdout
    assert "fast\tpriority\tlocal:small, local:large" in result.stdout
    assert "s3cret" not in result.output


def test_check_as_json(good: str) -> None:
    """`check --json` gives the same to a program, secrets masked as well."""
    result = run("check", good, "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["models"]["fast"]["endpoints"][0]["model_id"] == "small"
    assert "s3cret" not in result.output


def test_check_lists_every_fault(bad: str) -> None:
    """A bad file gives each fault on a line of stderr, with file and line, and status 1."""
    result = run("check", bad)

    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert "bad.yaml:1" in first
    assert "`listen`" in first
    assert "bad.yaml:3" in second
    assert [fault["line"] for fault in json.loads(run("check", bad, "--json").stdout)["faults"]] == [1, 3]


def test_check_finds_the_file_that_serve_would_use(good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without FILE, the file that $POINTSMAN_CONFIG names is checked; one that is missing is a fault."""
    monkeypatch.setenv("POINTSMAN_CONFIG", good)
    assert "Settings from good.yaml" in run("check").stdout
    monkeypatch.setenv("POINTSMAN_CONFIG", "missing.yaml")
    assert run("check").exit_code == 1


def test_serve_refuses_bad_configuration_and_usage(bad: str, good: str) -> None:
    """A bad file, a missing one, a bad address and an unknown option all end with status 2, and say why."""
    result = run("serve", "--config", bad)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2
    assert run("serve", "--config", "missing.yaml").exit_code == 2
    result = run("serve", "--config", good, "--listen", "here")
    assert result.exit_code == 2
    assert "HOST:PORT" in result.stderr
    assert run("serve", "--port", "1").exit_code == 2
    assert run("demo", "--listen", "here").exit_code == 2


@pytest.mark.parametrize("program", [["-m", "proxy"], ["-c", "from proxy.cli import main; main()"]])
def test_serve_runs_until_it_is_told_to_stop(good: str, program: list[str]) -> None:
    """`serve` says in one line that it takes traffic, on the address given to it, and SIGTERM ends it with status 0."""
    command = [sys.executable, *program, "serve", "--config", good, "--listen", "127.0.0.2:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert "http://127.0.0.2:" in line
    assert rest == ""
    assert process.returncode == 0


def test_resolve_from_a_file_alone(good: str) -> None:
    """`resolve --config` tells where a name would go without a running proxy."""
    result = run("resolve", "fast", "--config", good)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "fast goes to local:small, ahead of local:large."
    assert json.loads(run("resolve", "local:x", "--config", good, "--json").stdout)["source"] == "direct"


def test_resolve_from_a_file_offers_the_closest_name(good: str, bad: str) -> None:
    """An unknown name is status 1 with the closest one; a bad file is status 2."""
    result = run("resolve", "fsat", "--config", good)
    assert result.exit_code == 1
    assert "`fast`" in result.stderr
    assert run("resolve", "fast", "--config", bad).exit_code == 2


def test_help_comes_without_the_server() -> None:
    """Importing the command line imports neither aiohttp nor rich's tables; every command has a help text."""
    code = (
        "import sys, proxy.cli; sys.exit('aiohttp' in sys.modules or 'rich' in sys.modules or 'asyncio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}, check=False).returncode == 0
    for command in (
        "",
        "serve",
        "check",
        "demo",
        "reload",
        "resolve",
        "routes",
        *(f"routes {name}" for name in ("list", "show", "swap", "set", "remove", "apply", "rollback", "history")),
        "history",
        "rollback",
        "providers",
        "drain",
        "restore",
        *(f"shift {name}" for name in ("pause", "resume", "abort")),
        "shadow",
        "preflight",
        "requests",
        "events",
        "status",
        "rehearse outage",
    ):
        result = run(*command.split(), "--help")
        assert result.exit_code == 0
        assert "Usage: pointsman" in result.stdout


def test_token_makes_what_the_config_file_takes() -> None:
    """`token` prints a new token each time, and the entry with its hash, which opens the admin plane to it."""
    result = run("token", "alice@example.com", "--role", "operator")
    lines = result.stdout.splitlines()
    made = lines[0].rpartition(" ")[2]
    [entry] = parse_settings(f"admin:\n  tokens:\n{lines[-1]}\n", {}).admin.tokens

    assert result.exit_code == 0
    assert len(made) == 43
    assert (entry.name, entry.role, entry.hash) == ("alice@example.com", Role.OPERATOR, hash_token(made))
    again = json.loads(run("token", "null", "--json").stdout)
    assert again["entry"] == {"name": "null", "role": "viewer", "hash": hash_token(again["token"])}
    assert again["token"] != made


@pytest.mark.parametrize("name", ["", "admin", "local", "two words", 'a"b', "a\nb", "x" * 65])
def test_token_refuses_names_that_can_not_be(name: str) -> None:
    """A name that the config file would refuse is refused at once."""
    result = run("token", name)
    assert result.exit_code == 2
    assert "a name of at most 64" in result.stderr
