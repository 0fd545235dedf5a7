"""What happens when a provider is faulty: one proxy, a route for each case, and the official SDKs in front."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from proxy.app import Proxy
from proxy.config import settings_from
from proxy.errors import Protocol
from proxy.upstream.breaker import BreakerState
from tests.conftest import url
from tests.faults.client import Client, Met
from tests.faults.places import Place, behind
from tests.faults.scripts import well
from tests.upstream.loopback import until

# As many as open a breaker.
_ASKED = 5


class Mode(StrEnum):
    """In which form the client wants its answer."""

    STREAMING = "streaming"
    WHOLE = "not streaming"


class Row(NamedTuple):
    """What comes of a fault.

    Attributes:
        first: what the client meets with where the route's first endpoint is faulty, and its second is well.
        every: where both are faulty.
        breaker: the first endpoint's, after one such request, and after five in a row.
    """

    first: Met
    every: Met
    breaker: tuple[BreakerState, BreakerState]


class Fault(NamedTuple):
    """Something that can go wrong.

    Attributes:
        name: what, in a few words.
        place: does it.
        expected: what comes of it, in each form that it can befall.
        timeouts: the provider's, where they are what notices.
        is_race: whether it takes a connection that has rested, so that there has to be a request before.
        is_encoded: whether the answer is compared by its bytes.
    """

    name: str
    place: Place
    expected: Mapping[Mode, Row]
    timeouts: Mapping[str, float] = {}
    is_race: bool = False
    is_encoded: bool = False


async def observe(fault: Fault, protocol: Protocol) -> dict[Mode, Row]:
    """Let it happen, in each form and at one endpoint and all; all cases at the same time."""
    cases = [(mode, is_every) for mode, is_every in product(fault.expected, (False, True))]
    async with AsyncExitStack() as stack:
        begun = [asyncio.Event() for _ in cases]
        providers: dict[str, object] = {}
        models: dict[str, object] = {}
        for number, ((_, is_every), is_begun) in enumerate(zip(cases, begun, strict=True)):
            for name, place in ("a", fault.place), ("b", fault.place if is_every else behind(well)):
                base_url = await stack.enter_async_context(place(is_begun))
                providers[f"{name}{number}"] = {
                    "base_url": base_url,
                    "protocols": {"openai": "", "anthropic": ""},
                    "api_key": "key",
                    "timeouts": dict(fault.timeouts) if place is fault.place else {},
                }
            endpoints = [{"provider": f"{name}{number}", "model_id": "x"} for name in "ab"]
            models[f"m{number}"] = {"endpoints": endpoints}
        server = {"listen": "127.0.0.1:0", "shutdown_grace_s": 5}
        proxy = await stack.enter_async_context(
            Proxy(settings_from({"server": server, "providers": providers, "models": models}))
        )
        clients = [
            await stack.enter_async_context(Client(url(proxy), protocol, f"m{number}", is_begun))
            for number, is_begun in enumerate(begun)
        ]
        seen = await asyncio.gather(
            *(
                _case(fault, proxy, client, f"a{number}", is_stream=mode is Mode.STREAMING, is_every=is_every)
                for number, (client, (mode, is_every)) in enumerate(zip(clients, cases, strict=True))
            )
        )
    rows = dict(zip(cases, seen, strict=True))
    return {mode: Row(rows[mode, False][0], rows[mode, True][0], rows[mode, False][1]) for mode in fault.expected}


async def _case(
    fault: Fault, proxy: Proxy, client: Client, provider: str, *, is_stream: bool, is_every: bool
) -> tuple[Met, tuple[BreakerState, BreakerState]]:
    async def ask() -> Met:
        return await client.ask(is_stream=is_stream, is_encoded=fault.is_encoded)

    if fault.is_race:
        await ask()
    met = await ask()
    after_one = await _breaker(proxy, provider)
    if is_every:
        return met, (after_one, after_one)
    for _ in range(_ASKED - 1):
        await ask()
    return met, (after_one, await _breaker(proxy, provider))


async def _breaker(proxy: Proxy, provider: str) -> BreakerState:
    """The state of the provider's endpoint, once all that has happened to it is known there."""
    [endpoint] = [each for each in proxy._health.endpoints() if each.provider == provider]
    await until(lambda: not endpoint.in_flight)
    return endpoint.state
