"""The HTTP/1.1 server's own manners: its limits, and what it answers where no handler is asked.

aiohttp answers a request that it can't parse, and one whose handler fails, before or behind any middleware; here these
answers get the JSON that clients read, and say nothing of the request's content (its headers hold credentials).
"""

import asyncio
import logging
from secrets import token_hex

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from proxy.config import Address
from proxy.errors import InvalidRequestError, ProxyError, error_body

_log = logging.getLogger("pointsman.server")

_BACKLOG = 1024
# One field of a request head; the same for the request line, which holds the path.
_FIELD_BYTES = 16 * 1024
_FIELDS = 128
# A connection without a request under way; a head that drips in longer than this is cut as well.
_KEEPALIVE_S = 75.0
# How long an unread request body is read on after an early answer, so that the client gets to see the answer.
_LINGER_S = 10.0
_READ_BUFFER_BYTES = 64 * 1024


class _HeadTooLargeError(InvalidRequestError):
    status = 431
    code = "request_header_fields_too_large"


class _BadRequestError(InvalidRequestError):
    code = "bad_request"


class HttpConnection(web.RequestHandler):
    """One client connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        """Answer a request that could not be parsed, or whose handler failed; the connection closes after it."""
        error = _foreseen(exc) if status < 500 else None
        if error is None:
            # A fault of ours: the only place where a traceback is the right thing to log.
            _log.error("A request to %s failed in the proxy itself", ascii(request.path), exc_info=exc)
            error = ProxyError("The proxy failed to handle this request. The fault is logged there.")
        else:
            _log.info("%s sent a request that can't be parsed: %s", request.remote, error.message)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        request_id = f"req_{token_hex(12)}"
        response = web.Response(
            status=error.status,
            body=error_body(error, None, request_id),
            content_type="application/json",
            headers={"x-request-id": request_id},
        )
        response.force_close()
        return response


def _foreseen(exc: BaseException | None) -> ProxyError | None:
    match exc:
        case LineTooLong():
            return _HeadTooLargeError(
                f"The request's head is too large: {_FIELD_BYTES} bytes for the request line and each header field, "
                f"and {_FIELDS} fields, are the limits."
            )
        case HttpProcessingError():
            return _BadRequestError(f"The request is not valid HTTP/1.1 ({type(exc).__name__}).")
    return None


async def listen(runner: web.BaseRunner, address: Address) -> asyncio.Server:
    """Accept connections at `address` for a runner that is set up; raises `OSError` if it can't be had."""
    loop = asyncio.get_running_loop()
    if (server := runner.server) is None:
        raise RuntimeError("the runner is not set up")

    def connection() -> HttpConnection:
        return HttpConnection(
            server,
            loop=loop,
            keepalive_timeout=_KEEPALIVE_S,
            max_line_size=_FIELD_BYTES,
            max_field_size=_FIELD_BYTES,
            max_headers=_FIELDS,
            lingering_time=_LINGER_S,
            read_bufsize=_READ_BUFFER_BYTES,
            # The gateway decompresses within its own limit.
            auto_decompress=False,
            # Each request's outcome is recorded by its handler. (None is documented for AppRunner, but not typed here.)
            access_log=None,  # type: ignore[arg-type]
        )

    return await loop.create_server(connection, address.host, address.port, backlog=_BACKLOG, reuse_address=True)
