"""Reading what a client sent: as what it says it is, within a size and a time."""

import asyncio

from aiohttp import hdrs, web

from proxy.admin.access.origins import is_from_page
from proxy.errors import InvalidRequestError, PayloadTooLargeError, RequestTimeoutError, UnsupportedEncodingError

MAX_BODY_BYTES = 1024 * 1024
_READ_TIMEOUT_S = 10.0


class UnsupportedContentTypeError(InvalidRequestError):
    """The body is not of the type that this call reads."""

    status = 415
    code = "unsupported_content_type"


async def read_body(request: web.Request, content_type: str) -> bytes:
    """The whole body of a request, which must say that it is of `content_type` if a web page sent it.

    That keeps other sites' forms out, which can't send JSON. A program such as curl, which calls every body a form
    unless told otherwise, is taken at the body's word. Raises an `InvalidRequestError` with status 408, 413 or 415.
    """
    if request.content_type != content_type and is_from_page(request):
        message = f"This call reads {content_type}, not {request.content_type[:80]}: set the Content-Type header."
        raise UnsupportedContentTypeError(message)
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedEncodingError("Send the body without compression.")
    try:
        async with asyncio.timeout(_READ_TIMEOUT_S):
            return await _read(request)
    except TimeoutError:
        raise RequestTimeoutError(f"The body didn't come within {_READ_TIMEOUT_S:.0f} s.") from None


async def _read(request: web.Request) -> bytes:
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    return bytes(body)
