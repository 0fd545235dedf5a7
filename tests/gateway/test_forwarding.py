"""What goes up and comes down besides the body: headers, credentials, addresses."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from proxy.app import Proxy
from proxy.simulator import StrawProvider
from tests.conftest import MakeProxy, provider_section, url
from tests.gateway.recorded_provider import RecordedProvider, Reply

CLIENT_SECRETS = {
    "Authorization": "Bearer client-secret-1",
    "X-Api-Key": "client-secret-2",
    "Api-Key": "client-secret-3",
    "X-Goog-Api-Key": "client-secret-4",
    "Cookie": "session=client-secret-5",
    "Proxy-Authorization": "Basic client-secret-6",
    "x_api_key": "client-secret-7",
}


async def post(
    http: aiohttp.ClientSession, address: str, headers: dict[str, str] | None = None
) -> aiohttp.ClientResponse:
    async with http.post(address, data=b'{"model": "up:m"}', headers=headers) as response:
        await response.read()
        return response


@pytest.fixture
async def provider() -> AsyncIterator[RecordedProvider]:
    async with RecordedProvider() as provider:
        yield provider


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ("bearer", "Authorization", "Bearer the-key"),
        ("x-api-key", "x-api-key", "the-key"),
        ("api-key", "api-key", "the-key"),
        ("x-goog-api-key", "x-goog-api-key", "the-key"),
        ("query", None, None),
        ("none", None, None),
    ],
)
async def test_credentials(
    auth: str,
    header: str | None,
    value: str | None,
    make_proxy: MakeProxy,
    provider: RecordedProvider,
    http: aiohttp.ClientSession,
) -> None:
    """No credential of the client's reaches the provider, whose own stands where that provider expects it."""
    section = {"base_url": f"{provider.origin}/base", "auth": auth, "api_key": "the-key"}
    proxy = await make_proxy(providers={"up": section})
    await post(http, url(proxy, "/v1/chat/completions?a=1"), CLIENT_SECRETS)

    [received] = provider.received
    assert "client-secret" not in str(received)
    assert received.request_line == (
        "POST /base/chat/completions?a=1&key=the-key HTTP/1.1"
        if auth == "query"
        else "POST /base/chat/completions?a=1 HTTP/1.1"
    )
    if header is None:
        assert "the-key" not in str(received.headers)
    else:
        assert received.header(header) == [value]


async def test_own_headers_win(make_proxy: MakeProxy, provider: RecordedProvider, http: aiohttp.ClientSession) -> None:
    """An endpoint's headers win over its provider's, and those over the client's."""
    proxy = await make_proxy(
        providers={"up": {"base_url": provider.origin, "headers": {"X-A": "provider", "X-B": "provider"}}},
        models={"up:m": {"endpoints": [{"provider": "up", "model_id": "m", "headers": {"X-B": "endpoint"}}]}},
    )
    await post(http, url(proxy, "/v1/chat/completions"), {"X-A": "client", "X-B": "client", "X-C": "client"})

    [received] = provider.received
    assert [received.header(name) for name in ("X-A", "X-B", "X-C")] == [["provider"], ["endpoint"], ["client"]]


async def test_hop_by_hop_headers_are_dropped_both_ways(
    make_proxy: MakeProxy, provider: RecordedProvider, http: aiohttp.ClientSession
) -> None:
    """RFC 9110 §7.6.1, with the fields that Connection names; everything else passes, in order, doubles too."""
    proxy = await make_proxy(providers={"up": {"base_url": provider.origin}})
    kept = [("X-Kept", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Retry-After", "7"), ("x-kept", "2")]
    dropped = [("Connection", "X-Named, keep-alive"), ("X-Named", "1"), ("Keep-Alive", "timeout=5"), ("Trailer", "X-T")]
    provider.reply = Reply(429, [*dropped, *kept], b"{}")
    response = await post(
        http,
        url(proxy, "/v1/chat/completions"),
        {"Connection": "x-private", "X-Private": "1", "TE": "trailers", "Upgrade": "h2c", "X-End": "1", "Expect": ""},
    )

    names = {name.lower() for name, _ in provider.received[0].headers}
    assert not names & {"connection", "x-private", "te", "upgrade", "expect"}
    assert "x-end" in names
    down = [(name.decode(), value.decode()) for name, value in response.raw_headers]
    assert [pair for pair in down if pair in kept] == kept
    assert not [pair for pair in down if pair in dropped]
    assert response.status == 429


async def test_nothing_is_added_that_nobody_sent(
    make_proxy: MakeProxy, provider: RecordedProvider, http: aiohttp.ClientSession
) -> None:
    """Neither side gets a header of the HTTP library's own invention."""
    proxy = await make_proxy(providers={"up": {"base_url": provider.origin}})
    provider.reply = Reply(200, [], b"x")
    response = await post(http, url(proxy, "/v1/chat/completions"))

    assert [name for name, _ in provider.received[0].headers] == ["Host", "Content-Length"]
    assert {name.lower() for name in response.headers} == {
        "content-length",
        "date",
        "x-request-id",
        "x-pointsman-provider",
        "x-pointsman-model",
        "x-pointsman-attempts",
        "x-pointsman-revision",
    }


async def test_model_id_in_a_header(
    make_proxy: MakeProxy, provider: RecordedProvider, http: aiohttp.ClientSession
) -> None:
    """A model id that no header can hold is percent-encoded in `x-pointsman-model`."""
    proxy = await make_proxy(
        providers={"up": {"base_url": provider.origin}},
        models={"up:m": {"endpoints": [{"provider": "up", "model_id": "größe 100%"}]}},
    )
    response = await post(http, url(proxy, "/v1/chat/completions"))

    assert response.headers["x-pointsman-model"] == "gr%C3%B6%C3%9Fe%20100%25"
    assert '"größe 100%"'.encode() in provider.received[0].body


async def test_health(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """What clients and load balancers ask first is answered without a provider."""
    for method, path in (("HEAD", "/"), ("GET", "/"), ("GET", "/healthz"), ("GET", "/readyz"), ("HEAD", "/readyz")):
        async with http.request(method, url(proxy, path)) as response:
            assert response.status == 200


async def test_discovery(make_proxy: MakeProxy, straw: StrawProvider, http: aiohttp.ClientSession) -> None:
    """The lists show every routable name with what is known of it, and can be filtered."""
    endpoint = {"provider": "straw", "model_id": "m"}
    proxy = await make_proxy(
        providers={"straw": provider_section(straw)},
        models={
            "org/eyes": {"endpoints": [endpoint], "input_modalities": ["text", "image"], "max_input_tokens": 1000},
            "ears": {"endpoints": [endpoint], "input_modalities": ["audio"], "description": "hears"},
        },
    )

    async def listed(query: str) -> list[str]:
        async with http.get(url(proxy, f"/openai/v1/models{query}")) as response:
            body = await response.json()
            assert body["object"] == "list"
            return [entry["id"] for entry in body["data"]]

    assert await listed("") == ["ears", "org/eyes"]
    assert await listed("?input_modality=image") == ["org/eyes"]
    assert await listed("?output_modality=text") == []
    assert await listed("?provider=straw&id=ears") == ["ears"]
    async with http.get(url(proxy, "/v1/models/org/eyes")) as response:
        one = await response.json()
    assert (one["owned_by"], one["max_input_tokens"], one["object"]) == ("straw", 1000, "model")
    async with http.get(url(proxy, "/v1/routes")) as response:
        assert (await response.json())["routes"][0] == {"model": "ears", "provider": "straw", "protocol": "openai"}
