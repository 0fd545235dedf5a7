"""What a provider's section can ask for besides a URL and a key: TLS authorities, an outgoing proxy, time limits."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme

from proxy.app import Proxy
from tests.conftest import MakeProxy, url
from tests.gateway.recorded_provider import RecordedProvider, Reply
from tests.gateway.scripted_provider import Connection, ScriptedProvider
from tests.test_program import program

ASK = {"model": "m", "messages": []}


async def ask(http: aiohttp.ClientSession, proxy: Proxy) -> tuple[int, str]:
    async with http.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
        return response.status, await response.text()


def models(**endpoint: object) -> dict[str, object]:
    return {"m": {"endpoints": [{"provider": "up", "model_id": "m", **endpoint}]}}


@pytest.fixture
async def https_provider(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """A provider behind TLS; its base URL, and the authority that signed it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", tmp_path / "authority.pem"
    server.close()


async def test_ca_bundle(https_provider: tuple[str, Path], make_proxy: MakeProxy, http: aiohttp.ClientSession) -> None:
    """A provider's certificate is checked, against the authorities of `ca_bundle` where there is one."""
    base_url, authority = https_provider
    trusting = await make_proxy(providers={"up": {"base_url": base_url, "ca_bundle": str(authority)}}, models=models())
    strict = await make_proxy(providers={"up": {"base_url": base_url}}, models=models())

    assert await ask(http, trusting) == (200, "{}")
    status, text = await ask(http, strict)
    assert status == 502
    assert "TLS certificate" in text


async def test_authorities_of_the_environment(
    https_provider: tuple[str, Path], tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """`SSL_CERT_FILE` says whom the program trusts, as it does for any with OpenSSL."""
    base_url, authority = https_provider
    config = tmp_path / "proxy.yaml"
    config.write_text(f"providers: {{up: {{base_url: {base_url}}}}}")
    arguments = ("serve", "--config", str(config), "--listen", "127.0.0.1:0")
    async with program(*arguments, SSL_CERT_FILE=str(authority)) as process:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        origin = next(word for word in line.split() if word.startswith("http://"))
        async with http.post(f"{origin}/v1/chat/completions", json={"model": "up:m"}) as response:
            assert response.status == 200


async def test_outgoing_proxy(make_proxy: MakeProxy, http: aiohttp.ClientSession) -> None:
    """Requests go by the provider's outgoing proxy, with its password, which no answer shows."""
    async with RecordedProvider() as outgoing:
        outgoing.reply = Reply(200, [], b"{}")
        way = outgoing.origin.replace("://", "://user:proxy-secret@")
        proxy = await make_proxy(providers={"up": {"base_url": "http://up.invalid/v1", "proxy": way}}, models=models())
        status, text = await ask(http, proxy)

        assert (status, text) == (200, "{}")
        [received] = outgoing.received
        assert received.request_line == "POST http://up.invalid/v1/chat/completions HTTP/1.1"
        assert received.header("Proxy-Authorization")


async def test_tunnel_through_an_outgoing_proxy(
    https_provider: tuple[str, Path], make_proxy: MakeProxy, http: aiohttp.ClientSession
) -> None:
    """To an https provider the outgoing proxy opens a tunnel; the certificate is still the provider's own."""
    base_url, authority = https_provider
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        if b"Basic" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            writer.close()
            return
        port = int(head.split()[1].rpartition(b":")[2])
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
        await asyncio.gather(copy(reader, to_writer), copy(to_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    way = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    section = {"base_url": base_url, "ca_bundle": str(authority), "api_key": "for-the-provider-alone"}
    allowed = await make_proxy(providers={"up": {**section, "proxy": f"http://user:pass@{way}"}}, models=models())
    refused = await make_proxy(providers={"up": {**section, "proxy": f"http://{way}"}}, models=models())

    assert await ask(http, allowed) == (200, "{}")
    assert b"for-the-provider-alone" not in asked[0]
    status, text = await ask(http, refused)
    assert status == 502
    assert "outgoing proxy answered with status 407" in text
    server.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_names_that_do_not_resolve_and_ports_that_refuse(
    make_proxy: MakeProxy, http: aiohttp.ClientSession
) -> None:
    """What keeps a provider from being reached is said in words."""
    for base_url, words in (("http://up.invalid", "could not be looked up"), ("http://127.0.0.1:9", "refused")):
        proxy = await make_proxy(providers={"up": {"base_url": base_url}}, models=models())
        status, text = await ask(http, proxy)
        assert status == 502
        assert words in text


async def test_an_endpoint_has_time_limits_of_its_own(make_proxy: MakeProxy, http: aiohttp.ClientSession) -> None:
    """An endpoint's time limit wins over its provider's."""

    async def silent(connection: Connection) -> None:
        await connection.closed()

    async with ScriptedProvider(silent) as provider:
        section = {**provider.section, "timeouts": {"first_byte_s": 60}}
        proxy = await make_proxy(providers={"up": section}, models=models(timeouts={"first_byte_s": 0.05}))
        async with asyncio.timeout(10):
            assert (await ask(http, proxy))[0] == 504


SECRETS = {"key": "canary-key", "header": "canary-header", "client": "canary-client", "proxy": "canary-proxy"}


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:9", "http://up.invalid", "https://127.0.0.1:9", "reset", "garbage"]
)
@pytest.mark.parametrize("auth", ["bearer", "query"])
async def test_no_secret_shows_when_things_go_wrong(
    base_url: str, auth: str, make_proxy: MakeProxy, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """However a request fails, no key, header or client credential is in the answer or in any log line."""
    caplog.set_level("DEBUG")

    async def reset(connection: Connection) -> None:
        connection.reset()

    async def garbage(connection: Connection) -> None:
        await connection.send(b"canary-answer is not HTTP\r\n\r\n")

    scripts = {"reset": reset, "garbage": garbage}
    async with ScriptedProvider(scripts.get(base_url, reset)) as provider:
        section = {
            "base_url": provider.origin if base_url in scripts else base_url,
            "api_key": SECRETS["key"],
            "auth": auth,
            "headers": {"X-Secret": SECRETS["header"]},
        }
        proxy = await make_proxy(providers={"up": section}, models=models(), admin={"token": "canary-token"})
        headers = {"Authorization": f"Bearer {SECRETS['client']}"}
        async with http.post(
            url(proxy, "/v1/chat/completions?key=canary-query"), json=ASK, headers=headers
        ) as response:
            answer = await response.text() + str(response.headers)
        async with http.get(url(proxy, "/admin/routes"), headers={"Authorization": "Bearer canary-wrong"}) as refused:
            assert refused.status == 401
            answer += await refused.text()

    assert response.status == 502
    assert "canary" not in answer
    assert "canary" not in caplog.text
