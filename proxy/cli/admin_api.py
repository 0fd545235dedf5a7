"""Talks to a running proxy's admin API; every failure is one line that says what to do."""

import asyncio
from typing import TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from proxy.admin.change_payloads import RouteRemoved, RouteSet
from proxy.admin.payloads import ErrorAnswer, Explanation, Reloaded, RouteBody, RouteList
from proxy.cli.terminal import Failure

_TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)

Answer = TypeVar("Answer", bound=msgspec.Struct)


class AdminApi:
    """The admin API of one proxy. Its methods raise `Failure`.

    Args:
        url: where the proxy's admin plane listens, without `/admin`.
        token: the admin token; empty where none is needed.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def list_routes(self) -> RouteList:
        """Every route in force."""
        return self._call("GET", "/admin/routes", RouteList)

    def set_route(self, route: RouteBody) -> RouteSet:
        """Create or replace a dynamic route."""
        return self._call("POST", "/admin/routes", RouteSet, msgspec.json.encode(route))

    def remove_route(self, model: str) -> RouteRemoved:
        """Remove a dynamic route."""
        return self._call("DELETE", f"/admin/routes/{_escaped(model)}", RouteRemoved)

    def resolve(self, model: str) -> Explanation:
        """Where a request for the model would go, and why."""
        return self._call("GET", f"/admin/resolve?{urlencode({'model': model})}", Explanation)

    def reload(self) -> Reloaded:
        """Have the configuration read anew and put in force."""
        return self._call("POST", "/admin/reload", Reloaded)

    def _call(self, method: str, path: str, kind: type[Answer], body: bytes | None = None) -> Answer:
        try:
            status, answer = asyncio.run(self._exchange(method, path, body))
        except TimeoutError:
            raise Failure(f"The proxy at {self._url} took too long to answer.") from None
        except ValueError:  # such as aiohttp's InvalidURL
            raise Failure(f"{self._url} is no URL of a proxy: expected one such as http://127.0.0.1:8787.") from None
        except aiohttp.ClientConnectionError:
            message = f"No proxy answers at {self._url}. Is it running? --url or $POINTSMAN_URL says where it is."
            raise Failure(message) from None
        except aiohttp.ClientError:
            raise Failure(f"What answers at {self._url} doesn't speak HTTP.") from None
        if status != 200:
            raise self._refusal(status, answer)
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Failure(f"What answers at {self._url} is not a proxy's admin API.") from None

    async def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        # Escaped already; and no redirect is followed, for it could take the token elsewhere.
        url = URL(self._url + path, encoded=True)
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(method, url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status, await response.read()

    def _refusal(self, status: int, answer: bytes) -> Failure:
        if status == 401:
            does = "refused the admin token" if "Authorization" in self._headers else "wants its admin token"
            return Failure(f"The proxy at {self._url} {does}: set $POINTSMAN_ADMIN_TOKEN.")
        try:
            error = msgspec.json.decode(answer, type=ErrorAnswer).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Failure(f"There is no admin API at {self._url}: it answered with HTTP status {status}.")
        return Failure(error.message, *map(str, error.faults))


def _escaped(model: str) -> str:
    """The name as one path segment; `.` and `..` are escaped as well, since they would be taken for steps."""
    return quote(model, safe="") if model.strip(".") else "%2E" * len(model)
