"""Where providers are: behind a script, or where nobody can be reached."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from unittest.mock import patch

from tests.faults.scripts import Act, Scene
from tests.faults.words import words_of
from tests.gateway.scripted_provider import Connection, ScriptedProvider
from tests.upstream.loopback import Listener, tls_pair, unused_port

Place = Callable[[asyncio.Event], AbstractAsyncContextManager[str]]
"""Opens a provider and gives its base URL; the event is set whenever the client has the head of its answer."""


def behind(act: Act) -> Place:
    """A provider that does this with each request."""

    @asynccontextmanager
    async def place(is_begun: asyncio.Event) -> AsyncIterator[str]:
        async def script(connection: Connection) -> None:
            await act(Scene(connection, words_of(connection.body), is_begun))

        async with ScriptedProvider(script) as provider:
            yield f"{provider.origin}/v1"

    return place


@asynccontextmanager
async def refused(is_begun: asyncio.Event) -> AsyncIterator[str]:
    """Nobody listens."""
    yield f"http://127.0.0.1:{unused_port()}/v1"


@asynccontextmanager
async def unknown_name(is_begun: asyncio.Event) -> AsyncIterator[str]:
    """The name service knows no such host; it is not asked, since there may be none where the tests run."""
    look_up = socket.getaddrinfo

    def fail(host: str, *args: Any, **more: Any) -> Any:
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *args, **more)

    with patch("socket.getaddrinfo", fail):
        yield "http://nobody.invalid/v1"


@asynccontextmanager
async def untrusted(is_begun: asyncio.Event) -> AsyncIterator[str]:
    """The certificate is from an authority that nobody knows."""
    server_tls, _ = tls_pair("127.0.0.1")
    async with Listener(server_tls) as listener:
        yield f"https://127.0.0.1:{listener.port}/v1"


@asynccontextmanager
async def unanswered_handshake(is_begun: asyncio.Event) -> AsyncIterator[str]:
    """The connection comes about for TCP, and TLS waits in vain: the same time limit as for a host that is away."""
    async with Listener() as listener:
        yield f"https://127.0.0.1:{listener.port}/v1"
