"""What fails at one target is asked of the next, as long as nothing of an answer has gone to the client."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import openai
import pytest

from proxy.app import Proxy
from tests.conftest import MakeProxy, url
from tests.gateway.scripted_provider import EVENTS, Connection, Script, ScriptedProvider

ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CHUNK = (
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s}]}\n\n'
)
ROLE = CHUNK % b'{"role":"assistant","content":""}'
WORD = CHUNK % b'{"content":"well"}'
DONE = b"data: [DONE]\n\n"

Behind = Callable[..., Awaitable[Proxy]]


def answer(status: int, body: bytes = b"{}", headers: bytes = b"") -> Script:
    """A provider that answers with this, and keeps the connection open."""

    async def script(connection: Connection) -> None:
        head = b"HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
        await connection.send(head % (status, headers, len(body)) + body)

    return script


def stream(*pieces: bytes, ends: bool = True) -> Script:
    """A provider that sends these pieces of a stream, then ends it or cuts it off."""

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        for piece in pieces:
            await connection.send_chunk(piece)
        if ends:
            await connection.send_chunk(b"")
        else:
            connection.reset()

    return script


async def silence(connection: Connection) -> None:
    """A provider that takes a request and says nothing."""
    await connection.closed()


async def reset(connection: Connection) -> None:
    """A provider that drops a request."""
    connection.reset()


WELL = answer(200, b'{"said":"well"}')
WELL_STREAM = stream(ROLE, WORD, DONE)


@pytest.fixture
async def behind(make_proxy: MakeProxy) -> AsyncIterator[Behind]:
    """A proxy whose route `m` leads to providers `a`, `b`, ... that follow a script each."""
    async with AsyncExitStack() as stack:

        async def start(*scripts: Script, route: dict[str, Any] | None = None, **timeouts: float) -> Proxy:
            providers = {
                name: (await stack.enter_async_context(ScriptedProvider(script))).section | {"timeouts": timeouts}
                for name, script in zip("abc", scripts, strict=False)
            }
            endpoints = [{"provider": name, "model_id": "x"} for name in providers]
            return await make_proxy(providers=providers, models={"m": {"endpoints": endpoints} | (route or {})})

        yield start


async def ask(proxy: Proxy, http: aiohttp.ClientSession, **more: object) -> tuple[int, bytes, "dict[str, str]"]:
    """Status, body and header fields of an answer."""
    async with http.post(url(proxy, "/v1/chat/completions"), json=ASK | more) as response:
        return response.status, await response.read(), {k.lower(): v for k, v in response.headers.items()}


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 504, 529])
async def test_an_error_status_moves_on(status: int, behind: Behind, http: aiohttp.ClientSession) -> None:
    """What another provider may mend is asked of it."""
    proxy = await behind(answer(status), WELL)

    got, body, headers = await ask(proxy, http)

    assert (got, body) == (200, b'{"said":"well"}')
    assert headers["x-pointsman-provider"] == "b"
    assert headers["x-pointsman-attempts"] == "2"


@pytest.mark.parametrize("status", [400, 402, 405, 409, 413, 415, 422])
async def test_a_refusal_stays(status: int, behind: Behind, http: aiohttp.ClientSession) -> None:
    """What is the request's own fault would be refused elsewhere, too."""
    proxy = await behind(answer(status, b'{"error":{"message":"no"}}'), WELL)

    got, body, headers = await ask(proxy, http)

    assert (got, body) == (status, b'{"error":{"message":"no"}}')
    assert headers["x-pointsman-attempts"] == "1"


@pytest.mark.parametrize("script", [reset, silence])
async def test_no_answer_moves_on(script: Script, behind: Behind, http: aiohttp.ClientSession) -> None:
    """A reset and a silent provider alike."""
    proxy = await behind(script, WELL, first_byte_s=0.1)

    assert (await ask(proxy, http))[1] == b'{"said":"well"}'


@pytest.mark.parametrize(
    "script",
    [
        stream(ROLE, b'data: {"error": {"message": "overloaded"}}\n\n'),
        stream(ROLE, ends=False),
        stream(),
        stream(ROLE, DONE),
        stream(b": hello\n\n", b'event: response.created\ndata: {"type":"response.created"}\n\n', ends=False),
    ],
)
async def test_a_stream_without_content_moves_on(script: Script, behind: Behind, http: aiohttp.ClientSession) -> None:
    """A 200 that errors, ends or breaks before its first content is no answer."""
    proxy = await behind(script, WELL_STREAM)

    status, body, headers = await ask(proxy, http, stream=True)

    assert (status, body) == (200, ROLE + WORD + DONE)
    assert headers["x-pointsman-attempts"] == "2"


async def test_a_stream_that_stalls_before_its_content_moves_on(behind: Behind, http: aiohttp.ClientSession) -> None:
    """Nothing has gone to the client until then."""

    async def stall(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(ROLE)
        await connection.closed()

    proxy = await behind(stall, WELL_STREAM, idle_s=0.1)

    assert (await ask(proxy, http, stream=True))[1] == ROLE + WORD + DONE


async def test_half_an_answer_is_never_mended_live(behind: Behind) -> None:
    """Once content has gone to the client, a break is an error."""
    proxy = await behind(stream(ROLE, WORD, ends=False), WELL_STREAM)

    async with openai.AsyncOpenAI(base_url=url(proxy, "/v1"), api_key="x", max_retries=0) as client:
        chunks = await client.chat.completions.create(**ASK, stream=True)  # type: ignore[call-overload] # from a dict
        with pytest.raises(openai.APIError, match="broke off"):
            async for _ in chunks:
                pass


async def test_held_back_whole_half_an_answer_moves_on(behind: Behind, http: aiohttp.ClientSession) -> None:
    """With `delivery: whole` the client gets one whole answer, in the form it asked for."""
    proxy = await behind(stream(ROLE, WORD, ends=False), WELL_STREAM, route={"delivery": "whole"})

    status, body, headers = await ask(proxy, http, stream=True)

    assert (status, body) == (200, ROLE + WORD + DONE)
    assert headers["content-type"] == "text/event-stream"


async def test_a_prompt_too_long_moves_on_to_a_larger_context(behind: Behind, http: aiohttp.ClientSession) -> None:
    """Only there; a content policy's refusal is nobody else's to overrule."""
    refusal = b'{"error":{"code":"context_length_exceeded","message":"maximum context length is 10"}}'
    endpoints = [
        {"provider": "a", "model_id": "x", "max_input_tokens": 10},
        {"provider": "b", "model_id": "x", "max_input_tokens": 10},
        {"provider": "c", "model_id": "x", "max_input_tokens": 20},
    ]
    proxy = await behind(answer(400, refusal), answer(500), WELL, route={"endpoints": endpoints})

    assert (await ask(proxy, http))[2]["x-pointsman-provider"] == "c"

    proxy = await behind(answer(400, b'{"error":{"code":"content_policy_violation"}}'), WELL)

    assert (await ask(proxy, http))[0] == 400


async def test_all_failed_with_answers(behind: Behind, http: aiohttp.ClientSession) -> None:
    """The last provider's own error reaches the client, with advice for its SDK beside the provider's own fields."""
    limited = answer(429, b'{"error":{"message":"slow"}}', b"x-ratelimit-reset: 7s\r\n")
    proxy = await behind(answer(500), limited)

    status, body, headers = await ask(proxy, http)

    assert (status, body) == (429, b'{"error":{"message":"slow"}}')
    assert headers["x-ratelimit-reset"] == "7s"
    assert headers["x-should-retry"] == "true"
    assert 1 <= int(headers["retry-after"]) <= 60
    assert headers["x-pointsman-attempts"] == "2"


async def test_all_failed_without_an_answer(behind: Behind, http: aiohttp.ClientSession) -> None:
    """The proxy's own error lists every attempt."""
    proxy = await behind(answer(503), reset)

    status, body, headers = await ask(proxy, http)
    message = json.loads(body)["error"]["message"]

    assert status == 502
    assert "a answered with 503" in message
    assert "b closed the connection without an answer" in message
    assert headers["x-pointsman-attempts"] == "2"
    assert headers["x-should-retry"] == "true"


async def test_our_fault_doesnt_hide_a_better_reason(behind: Behind, http: aiohttp.ClientSession) -> None:
    """A client isn't told that its key is wrong when it is the fallback's key that is ours."""
    proxy = await behind(answer(429), answer(401))

    status, body, _ = await ask(proxy, http)

    assert status == 502
    assert "b answered with 401" in json.loads(body)["error"]["message"]


async def test_a_route_says_what_it_fails_over_on(behind: Behind, http: aiohttp.ClientSession) -> None:
    """`failover_on` narrows it down."""
    proxy = await behind(answer(500), WELL, route={"failover_on": ["rate_limited"]})

    assert (await ask(proxy, http))[0] == 500


async def test_the_clients_patience_bounds_the_chain(behind: Behind, http: aiohttp.ClientSession) -> None:
    """A client that gives up after a while is answered before that, and nobody else is bothered."""
    asked = asyncio.Event()

    async def second(connection: Connection) -> None:
        asked.set()
        await WELL(connection)

    proxy = await behind(silence, second)
    headers = {"x-stainless-read-timeout": "0.2"}
    async with http.post(url(proxy, "/v1/chat/completions"), json=ASK, headers=headers) as response:
        assert response.status == 504
        assert response.headers["x-should-retry"] == "false"

    assert not asked.is_set()


async def test_hedging_takes_the_first_to_answer(behind: Behind, http: aiohttp.ClientSession) -> None:
    """A slow target gets company, and is closed once that has answered."""
    closed = asyncio.Event()

    async def slow(connection: Connection) -> None:
        await connection.closed()
        closed.set()

    proxy = await behind(slow, WELL, route={"hedge_after": 0.05})

    _, body, headers = await ask(proxy, http)

    assert (body, headers["x-pointsman-provider"]) == (b'{"said":"well"}', "b")
    async with asyncio.timeout(1):
        await closed.wait()


async def test_hedging_may_stay_with_the_provider(behind: Behind, http: aiohttp.ClientSession) -> None:
    """A slow endpoint says nothing of another one at the same provider, and a route need not fail over to hedge."""
    asked = 0

    async def slow_once(connection: Connection) -> None:
        nonlocal asked
        asked += 1
        await (silence if asked == 1 else WELL)(connection)

    endpoints = [{"provider": "a", "model_id": model_id} for model_id in ("large", "small")]
    proxy = await behind(slow_once, route={"endpoints": endpoints, "hedge_after": 0.05, "failover_on": []})

    _, body, headers = await ask(proxy, http)

    assert (body, headers["x-pointsman-model"]) == (b'{"said":"well"}', "small")


async def test_the_keepalive_race_is_run_again(behind: Behind, http: aiohttp.ClientSession) -> None:
    """A resting connection that closes as the request comes costs one more try at the same target, and only one."""
    served = 0

    async def once(connection: Connection) -> None:
        nonlocal served
        served += 1
        await WELL(connection)
        # The next request on this connection is read, and the connection closed.
        await connection.read_until(b"hi")

    proxy = await behind(once)
    assert (await ask(proxy, http))[0] == 200

    status, _, headers = await ask(proxy, http)

    assert status == 200
    assert headers["x-pointsman-attempts"] == "2"
    assert served == 2


async def test_a_form_is_sent_again(behind: Behind) -> None:
    """What has streamed through to the first target goes whole to the second."""
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def second(connection: Connection) -> None:
        got.put_nowait(connection.body)
        await WELL(connection)

    proxy = await behind(answer(503), second)
    form = aiohttp.FormData()
    form.add_field("model", "m")
    form.add_field("file", io.BytesIO(b"sound" * 100_000), filename="a.wav")
    async with (
        aiohttp.ClientSession() as http,
        http.post(url(proxy, "/v1/audio/transcriptions"), data=form) as response,
    ):
        assert response.status == 200

    body = await got.get()
    assert body.count(b"sound") == 100_000
    assert b"\r\n\r\nx\r\n" in body


async def test_a_silent_stream_is_pinged(behind: Behind, http: aiohttp.ClientSession) -> None:
    """With `ping_s` a stream that has begun never falls silent."""
    pinged = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(WORD)
        await pinged.wait()
        await connection.send_chunk(DONE)
        await connection.send_chunk(b"")

    proxy = await behind(script, route={"ping_s": 0.05})
    async with http.post(url(proxy, "/v1/chat/completions"), json=ASK | {"stream": True}) as response:
        assert await response.content.readexactly(len(WORD)) == WORD
        assert await response.content.readexactly(8) == b": ping\n\n"
        pinged.set()
        assert (await response.read()).endswith(DONE)


async def test_an_answer_that_nobody_takes_stays_out_of_the_next(behind: Behind, http: aiohttp.ClientSession) -> None:
    """The connection of an answer that was failed over is used again, but nothing of that answer is."""

    async def recovers(connection: Connection) -> None:
        await answer(503, b'{"error":"of another client"}')(connection)
        await connection.read_until(b"hi")
        await WELL(connection)

    proxy = await behind(recovers, WELL)
    assert (await ask(proxy, http))[2]["x-pointsman-provider"] == "b"

    status, body, headers = await ask(proxy, http)

    assert (status, body) == (200, b'{"said":"well"}')
    assert headers["x-pointsman-provider"] == "a"
    assert headers["x-pointsman-attempts"] == "1"
