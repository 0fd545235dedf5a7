"""What a preflight tells of an endpoint, with a provider that answers as the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from proxy.config import parse_settings
from proxy.errors import Protocol
from proxy.routing import RoutingTarget
from proxy.simulator import StrawProvider
from proxy.upstream import Preflight, Trial, Upstream
from tests.conftest import MakeStraw, provider_section
from tests.upstream.loopback import until, unused_port

KEY = "sk-live-0123456789abcdefghijklmnop"
A = RoutingTarget("up", "a")
Answer = Callable[[dict[str, Any], web.Request], web.Response]


class Scripted:
    """A provider whose answers the test writes.

    Attributes:
        answer: makes the answer out of a request's body.
        bodies: what came.
        under_way, most: requests at this moment, and at most so far.
        hold: what each request waits for.
    """

    def __init__(self) -> None:
        self.answer: Answer = lambda _body, _request: web.json_response({"choices": []})
        self.bodies: list[dict[str, Any]] = []
        self.under_way = self.most = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.hold.wait()
            return self.answer(body, request)
        finally:
            self.under_way -= 1


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    app = web.Application()
    app.router.add_post("/{path:.*}", scripted.handle)
    async with TestServer(app) as server:
        scripted.port = server.port or 0
        yield scripted


async def preflight(
    port: int, *targets: RoutingTarget, settings: str = "", limit_s: float = 15, **options: Any
) -> tuple[Trial, ...]:
    text = f"providers: {{up: {{base_url: 'http://127.0.0.1:{port}/v1', api_key: '{KEY}'{settings}}}}}"
    async with Upstream(parse_settings(text, {}).providers) as upstream:
        return await Preflight(upstream, limit_s).run(targets or (A,), **options)


def refusing(status: int, message: str) -> Answer:
    return lambda _body, _request: web.json_response({"error": {"message": message}}, status=status)


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("streaming", [False, True])
async def test_it_asks_as_clients_do(make_straw: MakeStraw, protocol: Protocol, streaming: bool) -> None:
    """In each protocol, with the provider's own key, first for an answer in one piece, then for a stream."""
    straw: StrawProvider = await make_straw("up")
    section = str(provider_section(straw)).replace("'", '"')
    async with Upstream(parse_settings(f'providers: {{"up": {section}}}', {}).providers) as upstream:
        (trial,) = await Preflight(upstream).run([A], protocol, streaming=streaming)

    assert (trial.ok, trial.status, trial.error, trial.protocol) == (True, 200, None, protocol)
    assert trial.streaming == streaming
    assert trial.latency_ms is not None
    assert straw.counters.received == 1 + streaming


async def test_the_token_limit_has_two_names(scripted: Scripted) -> None:
    """What newer models of OpenAI say to `max_tokens` is no fault of theirs."""

    def answer(body: dict[str, Any], _: web.Request) -> web.Response:
        if "max_tokens" not in body:
            return web.json_response({"choices": []})
        message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        return web.json_response({"error": {"message": message}}, status=400)

    scripted.answer = answer
    (trial,) = await preflight(scripted.port)

    assert trial.ok
    assert [sorted(body) for body in scripted.bodies] == [
        ["max_tokens", "messages", "model"],
        ["max_completion_tokens", "messages", "model"],
    ]


async def test_a_model_that_thinks_is_well_although_a_token_is_too_short(scripted: Scripted) -> None:
    said = "Could not finish the message because max_tokens or model output limit was reached."
    scripted.answer = refusing(400, said)

    (trial,) = await preflight(scripted.port)

    assert trial.ok


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "for chat"), (401, "api_key"), (403, "may not use"), (404, "model id"), (429, "quota"), (503, "fault")],
)
async def test_the_providers_words_and_what_to_do(scripted: Scripted, status: int, advice: str) -> None:
    scripted.answer = refusing(status, "No such\r\nluck\x1b[31m today")

    (trial,) = await preflight(scripted.port)

    assert (trial.ok, trial.status, trial.error) == (False, status, "No such luck [31m today")
    assert advice in (trial.advice or "")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'[{"error": {"message": "gemini streams a list"}}]', "gemini streams a list"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"error": "just words"}', "just words"),
        (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (b"", "It answered with status 502 and no words."),
        (b"x" * 200_000, "x" * 300 + "…"),
    ],
)
async def test_errors_in_any_shape(scripted: Scripted, body: bytes, shown: str) -> None:
    scripted.answer = lambda _body, _request: web.Response(status=502, body=body)

    (trial,) = await preflight(scripted.port)

    assert trial.error == shown


@pytest.mark.parametrize(
    "echoed", [KEY, f"Bearer {KEY}", f"{KEY[:14]}******{KEY[-4:]}", KEY[9:], f"({KEY.replace('-', '%2D')})"]
)
async def test_no_piece_of_the_key_comes_back(scripted: Scripted, echoed: str) -> None:
    """Eight characters of it are a piece."""
    scripted.answer = refusing(401, f"Incorrect API key provided: {echoed}. It is wrong.")

    (trial,) = await preflight(scripted.port)

    error = trial.error or ""
    assert error.startswith("Incorrect API key provided: ")
    assert error.endswith(". It is wrong.")
    assert "***" in error
    assert not any(KEY[at : at + 8] in error for at in range(len(KEY) - 7))


async def test_no_header_of_the_provider_comes_back(scripted: Scripted) -> None:
    scripted.answer = lambda _body, request: web.Response(status=400, text=request.headers["X-Gate"])

    (trial,) = await preflight(scripted.port, settings=", headers: {X-Gate: 'Token open-sesame-123'}")

    assert trial.error == "Token ***"


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("text/event-stream", b'data: {"error": {"message": "no"}}\n\n', "It told an error instead of content"),
        ("text/event-stream", b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n', "ended before any"),
        ("application/json", b"{}", "answered with application/json"),
    ],
)
async def test_a_stream_that_is_none(scripted: Scripted, kind: str, body: bytes, said: str) -> None:
    def answer(asked: dict[str, Any], _: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind) if "stream" in asked else web.json_response({})

    scripted.answer = answer
    (trial,) = await preflight(scripted.port, streaming=True)

    assert (trial.ok, trial.streaming, trial.status) == (False, True, 200)
    assert said in (trial.error or "")


async def test_an_answer_in_one_piece_that_is_none(scripted: Scripted) -> None:
    scripted.answer = lambda _body, _request: web.json_response({"error": {"message": "in a 200"}})
    assert [trial.error for trial in await preflight(scripted.port)] == ["in a 200"]

    scripted.answer = lambda _body, _request: web.Response(text="<p>Log in to this network</p>")
    assert [trial.error for trial in await preflight(scripted.port)] == ["It answered with something that is not JSON."]


async def test_who_cannot_be_asked(scripted: Scripted) -> None:
    (unreachable,) = await preflight(unused_port())
    (unspoken,) = await preflight(scripted.port, protocol=Protocol.GEMINI)
    (unknown,) = await preflight(scripted.port, RoutingTarget("gone", "a"))

    assert not unreachable.ok
    assert "base_url" in (unreachable.advice or "")
    assert "doesn't speak the Gemini protocol" in (unspoken.error or "")
    assert "is not configured" in (unknown.error or "")
    assert {unreachable.status, unspoken.status, unknown.status} == {None}


async def test_it_is_bounded_in_time_and_number(scripted: Scripted) -> None:
    """Sixteen at a time; who gets no answer, or no turn, within the time is told so."""
    scripted.hold.clear()

    trials = await preflight(scripted.port, *(RoutingTarget("up", str(n)) for n in range(20)), limit_s=0.5)

    assert [trial.error for trial in trials] == ["There was no complete answer within 0.5 s."] * 20
    assert scripted.most == 16


async def test_whoever_goes_away_ends_it(make_straw: MakeStraw) -> None:
    straw = await make_straw("up", api_key="")
    text = f"providers: {{up: {{base_url: '{straw.base_url}'}}}}"
    straw.faults = type(straw.faults)(first_byte_stall_s=60)
    async with Upstream(parse_settings(text, {}).providers) as upstream:
        running = asyncio.create_task(Preflight(upstream).run([A, A]))
        await straw.received(2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: straw.counters.aborted == 2)
