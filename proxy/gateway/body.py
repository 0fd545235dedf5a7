"""The request body on its way through: read within limits, and written again with the target's model id.

A JSON body is held whole, since the `model` may stand anywhere in it. A form with files streams through (`form.py`).
"""

import re
from typing import Final

from proxy.config import Server
from proxy.gateway.decoded import DecodedPieces, read_whole, too_large
from proxy.gateway.form import StreamedForm
from proxy.gateway.request import Request
from proxy.upstream import Payload
from proxy.wire import Call, Document, Head, ModelInBody, affinity_key, find_model, splice_model

_JSON: Final = b"application/json"
_MULTIPART: Final = re.compile(rb"\s*multipart/form-data\s*(?:;|$)", re.IGNORECASE)


def read_at_once(request: Request, call: Call, limits: Server) -> "BufferedBody | None":
    """A body that came together with its head, as nearly all do; None if it has to be waited for, or decoded.

    Raises an `InvalidRequestError` that says what is wrong with the body.
    """
    values = request.head.values
    if not request.is_complete or b"content-encoding" in values:
        return None
    content_type = values.get(b"content-type", b"")
    if content_type != _JSON and _MULTIPART.match(content_type):
        return None
    body = request.take()
    if len(body) > limits.max_body_bytes:
        raise too_large(limits)
    return _buffered(request, call, body)


async def read_request(request: Request, call: Call, limits: Server) -> "ModelRequest":
    """Read as much of the body as is needed to know the model.

    Raises an `InvalidRequestError` that says what is wrong with the body.
    """
    if call.model is None and _MULTIPART.match(request.head.values.get(b"content-type", b"")):
        return await StreamedForm.read(request, DecodedPieces(request, limits))
    return _buffered(request, call, await read_whole(request, limits))


def _buffered(request: Request, call: Call, body: Document) -> "BufferedBody":
    if call.model is not None:
        return BufferedBody(call.model, request.head, body, None)
    found = find_model(body)
    return BufferedBody(found.name, request.head, body, found)


class BufferedBody:
    """A body held whole.

    Args:
        model: the name that the client asked for.
        head: what it came with.
        body: the bytes as the client sent them, decompressed.
        found: where the name stands in them; None if it stands in the URL.
    """

    def __init__(self, model: str, head: Head, body: Document, found: ModelInBody | None) -> None:
        self.model = model
        self._head = head
        self._body = body
        self._found = found

    def payload(self, model_id: str) -> Payload:
        """The body, all bytes as they were save those of the model."""
        body = self._body
        pieces = (body,) if self._found is None else splice_model(body, self._found, model_id)
        return Payload(pieces, len(body) if len(pieces) == 1 else sum(map(len, pieces)))

    def affinity(self, header: str | None) -> str:
        """What tells which requests belong together: the header of that name, or else the body; "" if nothing."""
        return affinity_key(self._body) if header is None else self._head.field(header)


ModelRequest = BufferedBody | StreamedForm
"""A request body that can be sent to any target; one held whole also to two at a time."""
