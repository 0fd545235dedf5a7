"""`Idempotency-Key`: a change that comes again with its key is not made again, and gets the answer that it had."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import wraps
from hashlib import blake2b

from aiohttp import web

from proxy.admin.access.actor import actor_of
from proxy.admin.bodies import read_body
from proxy.errors import InvalidRequestError

MOST_KEYS = 1_000
MOST_BYTES = 16 * 1024 * 1024
LONGEST_KEY = 255

Ask = Callable[[web.Request, bytes], Awaitable[web.Response]]
Handle = Callable[[web.Request], Awaitable[web.Response]]


class ReusedKeyError(InvalidRequestError):
    """The key came with another request before."""

    status = 422
    code = "idempotency_key_reused"


class KeyInUseError(InvalidRequestError):
    """The key's first request is still under way."""

    status = 409
    code = "idempotency_key_in_use"


class Answers:
    """What was answered to the latest requests with a key, by actor and key.

    Only accepted ones are remembered, the last `MOST_KEYS` and `MOST_BYTES` of them: what was refused has changed
    nothing, and is judged anew.
    """

    def __init__(self) -> None:
        # The request's digest, and its answer once there is one.
        self._answers: OrderedDict[tuple[str, str], tuple[bytes, bytes | None]] = OrderedDict()
        self._bytes = 0

    async def once(self, request: web.Request, body: bytes, ask: Ask) -> web.Response:
        """The answer that `ask` gives, or gave to the same request before; raises what it does, or for a wrong key."""
        if not (key := request.headers.get("Idempotency-Key", "")):
            return await ask(request, body)
        if len(key) > LONGEST_KEY:
            raise InvalidRequestError(f"The Idempotency-Key is longer than {LONGEST_KEY} characters.")
        name = (actor_of(request).name, key)
        digest = _digest(request, body)
        if (known := self._answers.get(name)) is not None:
            return _again(*known, digest)
        self._answers[name] = (digest, None)
        try:
            response = await ask(request, body)
        except BaseException:
            self._forget(name)
            raise
        self._forget(name)
        if response.status == 200 and isinstance(response.body, bytes):
            self._answers[name] = (digest, response.body)
            self._bytes += len(response.body)
            while len(self._answers) > MOST_KEYS or self._bytes > MOST_BYTES:
                self._forget(next(iter(self._answers)))
        return response

    def _forget(self, name: tuple[str, str]) -> None:
        _, answer = self._answers.pop(name, (b"", None))
        self._bytes -= len(answer or b"")


ANSWERS = web.AppKey("answers", Answers)


def changing(ask: Ask) -> Handle:
    """A handler that changes something, out of one that is given the JSON body (empty for DELETE)."""

    @wraps(ask)
    async def handle(request: web.Request) -> web.Response:
        body = b"" if request.method == "DELETE" else await read_body(request, "application/json")
        return await request.app[ANSWERS].once(request, body, ask)

    return handle


def _again(known: bytes, answer: bytes | None, digest: bytes) -> web.Response:
    if known != digest:
        raise ReusedKeyError("This Idempotency-Key was used for another request: take a new one for each change.")
    if answer is None:
        raise KeyInUseError("The request with this Idempotency-Key is still under way: ask again in a moment.")
    headers = {"Idempotency-Replayed": "true"}
    return web.Response(body=answer, content_type="application/json", headers=headers)


def _digest(request: web.Request, body: bytes) -> bytes:
    line = f"{request.method} {request.rel_url.raw_path_qs}\0".encode()
    return blake2b(line + body, digest_size=16).digest()
