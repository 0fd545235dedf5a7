"""A canary sweep: secrets that can be recognised, everything that can happen, and none of them anywhere it shouldn't be."""

import asyncio
import logging
import re
import socket
import traceback
from base64 import b64encode
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.app import Proxy
from proxy.config import describe_settings, hash_token, load_settings
from proxy.errors import ProxyError
from tests.spy import ANSWERS, Spy
from tests.telemetry.collector import Collector

CLOSE = "Connection: close"
CLIENT = "canary-client"
ADMIN = "canary-admin"
ALICE = "canary-alice"
CREDENTIALS = (
    f"Authorization: Bearer {CLIENT}-bearer",
    f"x-api-key: {CLIENT}-x-api-key",
    f"api-key: {CLIENT}-api-key",
    f"x-goog-api-key: {CLIENT}-x-goog-api-key",
    f"Cookie: session={CLIENT}-cookie",
    f"Proxy-Authorization: Basic {CLIENT}-proxy-authorization",
    f"x_api_key: {CLIENT}-underscores",
)
QUERY = f"key={CLIENT}-query&api-key={CLIENT}-query-2&access_token={CLIENT}-query-3"
LOGIN = b64encode(b"user:canary-password").decode()
# None of it may be anywhere in what the proxy says.
SECRETS = ("canary", LOGIN, b64encode(f"user:{ADMIN}".encode()).decode())

CONFIG = """\
server: {{listen: "127.0.0.1:0", access_log: {access_log}, shutdown_grace_s: 0, shutdown_idle_s: 0}}
admin:
  token: canary-admin
  audit: {audit}
  tokens: [{{name: alice, role: operator, hash: "{alice}"}}]
tracing: {{endpoint: "{traces}", headers: {{x-token: canary-traces}}}}
providers:
  sick: &usual
    base_url: http://{sick}
    protocols: {{openai: /v1, anthropic: /v1, gemini: /v1beta}}
    api_key: canary-key-sick
    timeouts: {{connect_s: 0.5, first_byte_s: 0.05, idle_s: 0.05}}
    headers: {{x-own: canary-header-sick}}
  well: {{<<: *usual, base_url: "http://{well}", api_key: canary-key-well, headers: {{x-own: canary-header-well}}}}
  query: {{<<: *usual, base_url: "http://{query}", api_key: canary-key-query, headers: {{}}, auth: query}}
  way: {{<<: *usual, base_url: "http://way.invalid", api_key: canary-key-way, headers: {{}}, proxy: "{login}{way}"}}
  closed: {{<<: *usual, base_url: "https://closed.invalid", proxy: "{login}{closed}"}}
  tls: {{<<: *usual, base_url: "https://{tls}"}}
  nobody: {{<<: *usual, base_url: "http://{nobody}"}}
  nowhere: {{<<: *usual, base_url: "http://nowhere.invalid"}}
models:
  chain:
    endpoints: [{{provider: sick, model_id: x}}, {{provider: well, model_id: x, headers: {{x-too: canary-endpoint-well}}}}]
  whole: {{delivery: whole, endpoints: [{{provider: sick, model_id: x}}, {{provider: query, model_id: x}}]}}
  hedged: {{hedge_after: 0.01, endpoints: [{{provider: sick, model_id: x}}, {{provider: way, model_id: x}}]}}
"""
OWN = {
    "sick": {"canary-key-sick", "canary-header-sick"},
    "well": {"canary-key-well", "canary-header-well", "canary-endpoint-well"},
    "query": {"canary-key-query"},
    "way": {"canary-key-way", LOGIN},
    "closed": {LOGIN},
    "tls": set[str](),
}
"""What may come to each provider or outgoing proxy, and does."""
BAD_CONFIG = """\
server: {listen: [canary-admin]}
admin: {token: [canary-admin], tokn: canary-admin, listen: canary-admin, tokens: [{name: a, role: canary-alice, hash: canary-alice}]}
tracing: {endpoint: "http://user:canary-password@x/v1/traces?key=canary-traces", headers: {"x y": canary-traces}}
providers:
  sick: {base_url: "http://user:canary-password@x/v1", api_key: {is: canary-key-sick}, api_kee: canary-key-sick}
  well: {base_url: "http://x/v1", headers: {"x own": canary-header-well, x-own: [canary-header-well]}}
  via: {base_url: "http://x/v1", proxy: "ftp://user:canary-password@x", auth: canary-key-via}
  other: {base_url: "http://x/v1?key=canary-key-query", api_key: "canary-key\\nsick", headers: {x: "canary-header\\nsick"}}
  more: {base_url: "http://x/v1", proxy: "http://user:canary-password@x:port"}
  openai: canary-key-sick
models: {chain: {endpoints: [{provider: sick, model_id: x, headers: canary-header-sick}]}}
"""
BROKEN_CONFIG = "providers:\n  sick: {api_key: canary-key-sick\n  well: ]canary-key-well\n"


class Sweep(logging.Handler):
    """Hears every logger at DEBUG, and whatever else there is to be heard.

    Attributes:
        heard: where, and what.
        errors: each that the proxy made.
        secrets: what must not be heard.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[tuple[str, str]] = []
        self.errors: list[BaseException] = []
        self.secrets: tuple[str, ...] = SECRETS

    def emit(self, record: logging.LogRecord) -> None:
        self.hear(f"log {record.name}", f"{self.format(record)} {vars(record)}")

    def hear(self, where: str, what: object) -> None:
        self.heard.append((where, what if isinstance(what, str) else repr(what)))

    def leaks(self) -> list[tuple[str, str]]:
        """Where a secret was heard."""
        for error in self.errors:
            self.hear("error", "".join(traceback.format_exception(error)) + f"{error!r} {vars(error)}")
        return [(where, what) for where, what in self.heard if any(secret in what for secret in self.secrets)]


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Sweep]:
    """A sweep of all that happens in the test."""
    sweep, root = Sweep(), logging.getLogger()
    made = ProxyError.__init__

    def make(error: ProxyError, message: str, *, param: str | None = None) -> None:
        made(error, message, param=param)
        sweep.errors.append(error)

    monkeypatch.setattr(ProxyError, "__init__", make)
    root.addHandler(sweep)
    with caplog.at_level(logging.DEBUG):
        yield sweep
    root.removeHandler(sweep)


class Caller:
    """Sends requests and hears the answers."""

    def __init__(self, proxy: Proxy, sweep: Sweep) -> None:
        self._proxy = proxy
        self._sweep = sweep

    def watch_for(self, *secrets: str) -> None:
        """Count more as secrets."""
        self._sweep.secrets += secrets

    async def send(self, line: str, *lines: str, body: str | None = None, quietly: bool = False) -> str:
        """Send one request; gives its answer, head and all, which nobody else hears if it is sent quietly."""
        length = [] if body is None else [f"Content-Length: {len(body)}"]
        head = "".join(f"{each}\r\n" for each in (f"{line} HTTP/1.1", "Host: localhost", *length, *lines))
        return await self.send_raw(f"{head}\r\n{body or ''}", quietly=quietly)

    async def send_raw(self, data: str, *, quietly: bool = False) -> str:
        """The same with bytes as they are."""
        reader, writer = await asyncio.open_connection(self._proxy.address.host, self._proxy.address.port)
        try:
            writer.write(data.encode())
            async with asyncio.timeout(20):
                answer = (await reader.read()).decode("latin-1")
        finally:
            writer.close()
        if not quietly:
            self._sweep.hear(f"answer to {data.partition(CLOSE)[0]!r}", answer)
        return answer

    async def ask(self, model: str, fault: str, protocol: str = "openai") -> str:
        """A client's request."""
        path = {
            "openai": "/v1/chat/completions",
            "anthropic": "/v1/messages",
            "gemini": f"/v1beta/models/{model}:generateContent",
        }[protocol]
        body = "{}" if protocol == "gemini" else f'{{"model": "{model}"}}'
        return await self.send(f"POST {path}?{QUERY}", *CREDENTIALS, f"x-fault: {fault}", CLOSE, body=body)

    async def talk(self, model: str, fault: str) -> str:
        """Open a WebSocket."""
        subprotocols = f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{CLIENT}-subprotocol"
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
        marks = (subprotocols, f"x-fault: {fault}")
        return await self.send(f"GET /v1/realtime?model={model}&{QUERY}", *CREDENTIALS, *upgrade, *marks)

    async def administer(self, line: str, body: str | None = None, token: str = f"Bearer {ADMIN}") -> str:
        """A request to the admin plane."""
        return await self.send(line, f"Authorization: {token}", *CREDENTIALS[1:], CLOSE, body=body)


@pytest.mark.parametrize("access_log", ["text", "json"])
async def test_no_secret_is_heard_of(access_log: str, sweep: Sweep, tmp_path: Path) -> None:
    """No log, metric, span, error, page or answer holds one, and no provider gets to see another's, or a client's."""
    path = tmp_path / "proxy.yaml"
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(Collector())
        faults = {"closed": "no way through", "tls": "no TLS"}
        spies = {name: await stack.enter_async_context(Spy(faults.get(name, "none"))) for name in OWN}
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            nobody = f"127.0.0.1:{unused.getsockname()[1]}"
        places = {name: spy.address for name, spy in spies.items()}
        login = "http://user:canary-password@"
        traces = collector.endpoint
        audit = tmp_path / "audit.jsonl"
        own = {"login": login, "audit": audit, "alice": hash_token(ALICE)}
        config = CONFIG.format(access_log=access_log, traces=traces, nobody=nobody, **own, **places)
        path.write_text(config)
        settings = load_settings(path, {})
        proxy = await stack.enter_async_context(Proxy(settings, lambda: load_settings(path, {})))
        caller = Caller(proxy, sweep)

        await everything_a_client_does(caller)
        for text in (BAD_CONFIG, BROKEN_CONFIG, config):
            path.write_text(text)
            answer = await caller.administer("POST /admin/reload")
            assert answer.startswith("HTTP/1.1 200" if text == config else "HTTP/1.1 4"), answer
        await everything_an_operator_does(caller)
        await everything_a_browser_does(caller)
        sweep.hear("audit", audit.read_text())
        sweep.hear("repr", [settings, proxy, str(proxy), vars(proxy), describe_settings(settings)])

    sweep.hear("spans", collector.raw.decode("latin-1"))
    # It does hear: lines, metrics, errors, and what else is told.
    where = {where for where, _ in sweep.heard}
    assert {"log pointsman.access", "log pointsman.alarms", "log pointsman.admin", "log pointsman.reload"} <= where
    assert any("pointsman_requests_total" in what for _, what in sweep.heard)
    assert len(sweep.errors) > 50
    assert len(collector.spans) > 200
    assert {headers["x-token"] for headers in collector.headers} == {"canary-traces"}
    assert sweep.leaks() == []
    for name, spy in spies.items():
        got = spy.got.decode("latin-1")
        assert {*re.findall(r"canary-[a-z0-9-]+", got), *re.findall(re.escape(LOGIN), got)} == OWN[name], name


async def everything_a_client_does(caller: Caller) -> None:
    """Requests that go well, and that go wrong in every way."""
    for fault in ANSWERS.keys() - {"no way through", "no TLS"}:
        await asyncio.gather(
            *(caller.ask(model, fault) for model in ("chain", "whole", "hedged", "sick:x", "query:x", "way:x")),
            *(caller.ask("chain", fault, protocol) for protocol in ("anthropic", "gemini")),
            *(caller.talk(model, fault) for model in ("chain", "query:x")),
        )
    await asyncio.gather(
        *(caller.ask(f"{provider}:x", "none") for provider in ("closed", "tls", "nobody", "nowhere", "nothing")),
        caller.send(f"POST /nothing/here?{QUERY}", *CREDENTIALS, CLOSE, body="{}"),
        caller.send(f"GET /v1/models?{QUERY}", *CREDENTIALS, CLOSE),
        caller.send(f"POST /v1/chat/completions?{QUERY}", *CREDENTIALS, CLOSE, body='{"model": "chain"'),
        caller.send_raw(f"POST /v1/chat/completions?{QUERY} HTTP/1.1\r\nAuthorization : {CLIENT}\r\n\r\n"),
        caller.send_raw(f"{CLIENT} {CLIENT}\r\n\r\n"),
        caller.send_raw(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {CLIENT}\r\n\r\n"),
    )


async def everything_an_operator_does(caller: Caller) -> None:
    """What the admin plane can be asked, with the right token and without."""
    route = '{"model": "new", "endpoints": [{"provider": "well", "model_id": "x"}]}'
    for token in (f"Bearer {ADMIN}", f"Basic {b64encode(f'user:{ADMIN}'.encode()).decode()}", f"Bearer {ADMIN}-wrong"):
        status = "200" if token == f"Bearer {ADMIN}" else "401"
        for line, body in (
            ("GET /admin/", None),
            ("GET /admin/routes", None),
            ("GET /admin/resolve?model=chain", None),
            ("POST /admin/routes", route),
            ("DELETE /admin/routes/new", None),
            ("GET /admin/metrics", None),
            ("GET /metrics", None),
        ):
            assert (await caller.administer(line, body, token))[9:12] == status, line
    await caller.administer("POST /admin/routes", '{"model": "new"}')
    await caller.administer("POST /admin/routes", "no JSON")
    await caller.administer(f"GET /admin/routes?token={ADMIN}")
    await caller.administer(f"POST /admin/routes?access_token={ADMIN}", route)


async def everything_a_browser_does(caller: Caller) -> None:
    """Log in, look at every page, change something, log out; the cookies are heard where they are set, and nowhere else."""
    accept = "Accept: text/html"

    async def ask(line: str, cookie: str, **fields: str) -> str:
        form = "&".join(f"{name}={value}" for name, value in fields.items()) if fields else None
        more = ("Content-Type: application/x-www-form-urlencoded",) if fields else ()
        return await caller.send(line, accept, f"Cookie: {cookie}", *more, CLOSE, body=form, quietly=True)

    page = await ask("GET /admin/login", "")
    [visitor] = re.findall(r"set-cookie: (pointsman_visitor=[^;]+)", page, re.IGNORECASE)
    [csrf] = set(re.findall(r'name="csrf" value="(\w+)"', page))
    assert "401" in (await ask("POST /admin/login", visitor, token=f"{ALICE}-wrong", csrf=csrf))[:12]
    answer = await ask("POST /admin/login", visitor, token=ALICE, csrf=csrf)
    [session] = re.findall(r"set-cookie: (pointsman_session=[^;]+)", answer, re.IGNORECASE)
    cookies = (visitor.partition("=")[2], session.partition("=")[2])
    caller.watch_for(*cookies)
    for path in ("/admin/", "/admin/?swap=chain", "/admin/routes", "/admin/history", "/admin/login", "/admin/nothing"):
        page = await caller.send(f"GET {path}", accept, f"Cookie: {session}", CLOSE)
        assert page[9:12] in {"200", "404"}, page
    [csrf, *_] = re.findall(r'name="csrf" value="(\w+)"', page)
    for path in ("/admin/remove", "/admin/logout", "/admin/logout"):
        form = f"model=chain&csrf={csrf}"
        await caller.send(f"POST {path}", accept, f"Cookie: {session}", CLOSE, body=form)
