"""A provider that remembers every byte it was sent, and answers as the request's `x-fault` says."""

import asyncio
import re
from typing import Self

from tests.chaos.provider import reset

_JSON = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b"
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_WORD = b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'
_TOLD = b'data: {"error":{"message":"overloaded"}}\n\n'


def _whole(status: bytes, body: bytes = b'{"error":{"message":"no"}}', lines: bytes = b"") -> bytes:
    return _JSON % (status, len(body), lines, body)


def _stream(*events: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return _STREAM + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + end


ANSWERS = {
    "none": _whole(b"200 OK", b'{"said":"well"}'),
    "stream": _stream(_WORD, b"data: [DONE]\n\n"),
    "refused prompt": _whole(b"400 Bad Request", b'{"error":{"code":"context_length_exceeded"}}'),
    "told first": _stream(_TOLD),
    "empty stream": _stream(),
    "cut before content": _stream(end=b""),
    "cut in stream": _stream(_WORD, end=b""),
    "bad chunk": _stream(_WORD, end=b"SENT\r\n"),
    "truncated": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"said":',
    # These repeat what they were sent, where nobody expects it.
    "garbage": b"SENT\r\n\r\n",
    "bad status line": b"HTTP/1.1 2OO SENT\r\n\r\n",
    "bad field": b"HTTP/1.1 200 OK\r\nSENT SENT: SENT\r\n\r\n",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: SENT\r\n\r\n",
    "bad framing": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: SENT\r\n\r\n",
    "oversized head": b"HTTP/1.1 200 OK\r\nX: " + b"SENT" * 20_000,
    "early": b"HTTP/1.1 103 SENT\r\nContent-Length: SENT\r\n\r\n",
    "no way through": b"HTTP/1.1 407 SENT\r\nProxy-Authenticate: SENT\r\n\r\n",
    "no TLS": b"",
    "closes": b"",
    "resets": b"",
    "is silent": b"",
    **{
        str(status): _whole(b"%d No" % status, lines=b"Retry-After: 1\r\n" if status == 429 else b"")
        for status in (400, 401, 403, 404, 408, 429, 500, 502, 503, 504, 529)
    },
}
"""By fault; `SENT` stands for the credentials that came with the request."""

_CREDENTIALS = re.compile(rb"(?i)\r\n(?:authorization|x-api-key|x-goog-api-key|proxy-authorization): ([^\r]*)")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
_FAULT = re.compile(rb"(?i)\r\nx-fault: ([^\r]*)")


class Spy:
    """An async context manager.

    Args:
        fault: what to answer a request that asks for none.

    Attributes:
        origin: where it is.
        got: all that it was sent.
    """

    def __init__(self, fault: str = "none") -> None:
        self._fault = fault
        self.got = b""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.origin = f"http://{self.address}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b""
        try:
            if self._fault == "no TLS":
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            self.got += head + body
            asked = _FAULT.search(head)
            fault = asked[1].decode() if asked else self._fault
            sent = b" ".join(_CREDENTIALS.findall(head))
            writer.write(ANSWERS[fault].replace(b"SENT", sent))
            if fault == "resets":
                reset(writer)
            elif fault == "is silent":
                self.got += await reader.read()
            await writer.drain()
        except asyncio.IncompleteReadError as error:
            self.got += error.partial
        except (ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
