"""A swap under load: the next request takes the new way, those under way end on the old one, none is lost."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp
import openai

from proxy.app import Proxy
from proxy.routing import DynamicRoute, RouteEndpoint
from tests.conftest import MakeProxy, MakeStraw, provider_section, url

SWAPS = 1000
ASK = {"model": "fast", "messages": [{"role": "user", "content": "Who are you?"}]}


async def ask(session: aiohttp.ClientSession, proxy: Proxy) -> str:
    """One whole answer; returns who gave it."""
    async with session.post(url(proxy, "/v1/chat/completions"), json=ASK) as response:
        assert response.status == 200, await response.text()
        text = (await response.json())["choices"][0]["message"]["content"]
        return answered_by(text, response)


async def ask_for_stream(session: aiohttp.ClientSession, proxy: Proxy) -> str:
    """One streamed answer; returns who gave it."""
    async with session.post(url(proxy, "/v1/chat/completions"), json={**ASK, "stream": True}) as response:
        assert response.status == 200, await response.text()
        events = (await response.text()).strip().split("\n\n")
        assert events[-1] == "data: [DONE]"
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
        text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        return answered_by(text, response)


def answered_by(text: str, response: aiohttp.ClientResponse) -> str:
    """The provider that the text names, which must be the one that the headers name."""
    provider = response.headers["x-pointsman-provider"]
    assert f"from {provider}, this is {provider}-model" in text
    return provider


async def test_a_thousand_swaps_lose_no_request(
    make_straw: MakeStraw, make_proxy: MakeProxy, http: aiohttp.ClientSession
) -> None:
    """While one route is swapped 1,000 times each request is answered wholly by the old or the new target."""
    straw = [await make_straw(name) for name in ("alpha", "beta")]
    proxy = await make_proxy(providers={provider.name: provider_section(provider) for provider in straw})
    done = asyncio.Event()
    answers: Counter[str] = Counter()

    def swap_to(name: str) -> None:
        proxy.table.add_route(DynamicRoute("fast", [RouteEndpoint(name, f"{name}-model")]))

    answered = asyncio.Condition()

    async def keep_asking(one: Callable[[aiohttp.ClientSession, Proxy], Awaitable[str]]) -> None:
        while not done.is_set():
            answers[await one(http, proxy)] += 1
            async with answered:
                answered.notify_all()

    swap_to("alpha")
    async with asyncio.TaskGroup() as group:
        for one in (ask, ask_for_stream) * 4:
            group.create_task(keep_asking(one))
        before = proxy.table.revision
        for number in range(SWAPS):
            swap_to("beta" if number % 2 == 0 else "alpha")
            async with answered:
                await answered.wait()
        done.set()

    assert proxy.table.revision == before + SWAPS
    assert set(answers) == {"alpha", "beta"}
    assert answers.total() >= SWAPS


async def test_a_stream_ends_on_the_provider_it_began_on(make_straw: MakeStraw, make_proxy: MakeProxy) -> None:
    """A swap, even a removal, in the middle of a stream doesn't touch it; the next request goes the new way."""
    alpha = await make_straw("alpha", token_delay_s=0.005)
    beta = await make_straw("beta")
    proxy = await make_proxy(
        providers={"alpha": provider_section(alpha), "beta": provider_section(beta)},
        models={"fast": {"endpoints": [{"provider": "beta", "model_id": "from-config"}]}},
    )
    proxy.table.add_route(DynamicRoute("fast", [RouteEndpoint("alpha", "first")]))
    async with openai.AsyncOpenAI(base_url=url(proxy, "/v1"), api_key="x", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="fast", messages=[{"role": "user", "content": "Who?"}], stream=True
        )
        text = (await anext(stream)).choices[0].delta.content or ""
        proxy.table.add_route(DynamicRoute("fast", [RouteEndpoint("beta", "second")]))
        swapped = await client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "Who?"}])
        proxy.table.remove_route("fast")
        reverted = await client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "Who?"}])
        text += "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert text.startswith("Hello from alpha, this is first speaking.")
    assert swapped.model == "second"
    assert reverted.model == "from-config"
