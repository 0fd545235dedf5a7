"""A client of bare bytes: what a provider's socket really gives."""

import asyncio
import json

from proxy.simulator import StrawProvider

LIMIT_S = 5.0
"""After which a peer that should have answered has failed the test."""


def chat_request(*, stream: bool) -> bytes:
    """A chat request without a key, as it goes over the wire."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: straw\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def connect(straw: StrawProvider) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection to a provider."""
    host, _, port = straw.origin.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def read_until_reset(reader: asyncio.StreamReader) -> bytes:
    """What comes before the RST; raises `EOFError` if the connection is closed in any other way."""
    received = b""
    async with asyncio.timeout(LIMIT_S):
        try:
            while piece := await reader.read(65536):
                received += piece
        except ConnectionResetError:
            return received
    raise EOFError(received)
