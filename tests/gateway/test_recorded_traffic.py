"""Recorded traffic of real providers and clients goes through the proxy byte for byte, both ways.

Not replayed, since they are no data-plane APIs: Bedrock's, Ollama's and Cohere's own, Gemini's interactions, and
everything that names no model (listing, reading and deleting stored responses). Recorded paths of other hosts
(Azure deployments, Vertex projects, …) are asked for at the data plane's own path of the same API.
"""

import asyncio
import base64
import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from proxy.app import Proxy
from proxy.routing import DynamicRoute, RouteEndpoint
from tests.conftest import MakeProxy, url
from tests.gateway.recorded_provider import RecordedProvider, Reply, random_cuts

DATA = Path(__file__).parent.parent / "data" / "wire"
VIRTUAL = "swap/me:now"

# Each recorded API: the path to ask (None: the recorded one) and how many exchanges name a model.
PATHS = {
    "audio": (None, 3),
    "chat": ("/v1/chat/completions", 699),
    "completions": ("/v1/completions", 29),
    "count_tokens": ("/v1/messages/count_tokens", 7),
    "embeddings": ("/v1/embeddings", 22),
    "gemini": (None, 375),
    "gemini_count_tokens": (None, 6),
    "gemini_embeddings": (None, 5),
    "images": (None, 6),
    "messages": ("/v1/messages", 415),
    "moderations": ("/v1/moderations", 3),
    "rerank": ("/v1/rerank", 4),
    "responses": ("/v1/responses", 454),
    "responses_compact": ("/v1/responses/compact", 3),
    "responses_input_tokens": ("/v1/responses/input_tokens", 3),
}
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}


def read(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def replayable(name: str) -> Iterator[tuple[dict[str, Any], str, str, bytes]]:
    """Each exchange with the path to ask, the model's name and the body as it was recorded."""
    for exchange in read(name):
        request = exchange["request"]
        path, _, query = request["path"].partition("?")
        if name.startswith("gemini"):
            model, _, verb = path.rpartition("/models/")[2].rpartition(":")
            path = f"/v1beta/models/{model}:{verb}"
            body = request.get("body_text") or json.dumps(request["body"], separators=(",", ":"), ensure_ascii=False)
        elif isinstance(request["body"], dict) and isinstance(request["body"].get("model"), str):
            model = request["body"]["model"]
            path = PATHS[name][0] or path
            body = request.get("body_text") or json.dumps(request["body"], separators=(",", ":"), ensure_ascii=False)
        else:
            continue
        yield exchange, f"{path}?{query}" if query else path, model, body.encode()


def renamed(name: str, path: str, model: str, body: bytes) -> tuple[str, bytes]:
    """The request as a client sends it that asks for the virtual model."""
    if name.startswith("gemini"):
        return path.replace(f"/models/{model}:", "/models/swap%2Fme%3Anow:"), body
    # Written independently of the code under test: the key that a JSON parser takes for the document's own.
    for key in re.finditer(rb'"model"', body):
        value = body.index(b'"', key.end())
        end = value + len(json.dumps(model, ensure_ascii=False).encode())
        candidate = body[:value] + json.dumps(VIRTUAL).encode() + body[end:]
        try:
            if json.loads(candidate) == {**json.loads(body), "model": VIRTUAL}:
                return path, candidate
        except ValueError:
            continue
    raise AssertionError("no top-level model")


@pytest.fixture
async def provider(make_proxy: MakeProxy) -> Any:
    async with RecordedProvider() as provider:
        yield provider


@pytest.fixture
async def proxy(make_proxy: MakeProxy, provider: RecordedProvider) -> Proxy:
    protocols = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta"}
    section = {"base_url": provider.origin, "protocols": protocols, "api_key": "the-provider's-own"}
    return await make_proxy(providers={"recorded": section})


@pytest.mark.parametrize("name", PATHS)
async def test_recorded_exchanges_pass_byte_for_byte(
    name: str, proxy: Proxy, provider: RecordedProvider, http: aiohttp.ClientSession
) -> None:
    """The provider gets the recorded request, the client the recorded answer, streams cut at random places."""
    chance = random.Random(name)
    replayed = 0
    for exchange, path, model, body in replayable(name):
        recorded = exchange["response"]
        answer = base64.b64decode(recorded["body_b64"]) if "body_b64" in recorded else recorded["body_text"].encode()
        headers = [(k, v) for k, v in recorded["headers"].items() if k not in HOP_BY_HOP | {"content-length"}]
        chunked = exchange["streaming"] or "transfer-encoding" in recorded["headers"]
        cuts = random_cuts(answer, chance) if chunked else None
        provider.reply = Reply(recorded["status"], headers, answer, cuts)
        provider.received.clear()
        proxy.table.add_route(DynamicRoute(VIRTUAL, [RouteEndpoint("recorded", model)]))
        asked_path, asked_body = renamed(name, path, model, body)

        sent = {k: v for k, v in exchange["request"]["headers"].items() if k not in {"content-length", "host"}}
        async with http.post(URL(url(proxy, asked_path), encoded=True), data=asked_body, headers=sent) as response:
            got = await response.read()

        assert got == answer, exchange["id"]
        assert response.status == recorded["status"]
        assert end_to_end(response.raw_headers, headers) == headers, exchange["id"]
        [received] = provider.received
        assert received.body == body, exchange["id"]
        assert received.request_line == f"POST {path} HTTP/1.1"
        for header, value in sent.items():
            if header not in HOP_BY_HOP | {"accept-encoding"}:
                assert received.header(header) == [value]
        replayed += 1

    assert replayed == PATHS[name][1]


def end_to_end(raw: tuple[tuple[bytes, bytes], ...], recorded: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers without framing and without what the proxy adds where the recording has none."""
    names = {name for name, _ in recorded}
    added = HOP_BY_HOP | {"content-length"} | ({"date", "x-request-id"} - names)
    pairs = [(name.decode(), value.decode()) for name, value in raw]
    return [(n, v) for n, v in pairs if n.lower() not in added and not n.startswith("x-pointsman-")]


NOT_FORWARDED = HOP_BY_HOP | {"host", "content-length", "authorization", "x-api-key", "x-goog-api-key", "api-key"}


@pytest.mark.parametrize("name", ["client_agents", "client_sdk_venv"])
async def test_requests_of_real_clients_pass(name: str, proxy: Proxy, provider: RecordedProvider) -> None:
    """What Claude Code, Codex, Gemini CLI and the SDKs send arrives with all headers in order, their key left out."""
    provider.reply = Reply(200, [("Content-Type", "application/json")], b"{}")
    for model in ("gpt-mock", "gemini-2.5-flash"):
        proxy.table.add_route(DynamicRoute(model, [RouteEndpoint("recorded", "mock-gpt")]))
    for recorded in read(name):
        provider.received.clear()
        body = recorded["body_text"].encode()
        status = await send_raw(proxy, recorded, body)

        if recorded["method"] != "POST" or "no-such-model" in recorded["body_text"] or "no-such" in recorded["path"]:
            assert not provider.received
            assert status in {200, 404}
            continue
        assert status == 200, recorded["path"]
        [received] = provider.received
        sent = [(k, v) for k, v in recorded["headers"] if k.lower() not in NOT_FORWARDED]
        arrived = [(k, v) for k, v in received.headers if k.lower() not in NOT_FORWARDED]
        assert arrived == sent
        assert "REDACTED" not in str(received.headers)
        assert "the-provider's-own" in str(received.headers)
        assert received.body == body.replace(b'"gpt-mock"', b'"mock-gpt"', 1)


async def send_raw(proxy: Proxy, recorded: dict[str, Any], body: bytes) -> int:
    """Send a recorded request over a bare connection; returns the status of the answer."""
    reader, writer = await asyncio.open_connection(proxy.address.host, proxy.address.port)
    lines = [f"{recorded['method']} {recorded['path']} HTTP/1.1"]
    lines += [f"{k}: {v}" for k, v in recorded["headers"] if k.lower() not in {"content-length", "connection"}]
    lines += [f"Content-Length: {len(body)}", "Connection: close"]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    async with asyncio.timeout(10):
        status = int((await reader.readline()).split()[1])
        await reader.read()
    writer.close()
    await writer.wait_closed()
    return status
