"""A proxy whose provider the test decides to the byte."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from proxy.app import Proxy
from tests.conftest import MakeProxy
from tests.gateway.scripted_provider import Script, ScriptedProvider

Start = Callable[..., Awaitable[Proxy]]


@pytest.fixture
async def scripted(make_proxy: MakeProxy) -> AsyncIterator[Start]:
    """A proxy in front of a provider that follows a script, with these limits of the server's."""
    async with AsyncExitStack() as stack:

        async def begin(script: Script, **server: float) -> Proxy:
            provider = await stack.enter_async_context(ScriptedProvider(script))
            return await make_proxy(server=server, providers={"provider": provider.section})

        yield begin
