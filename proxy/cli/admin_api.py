"""Talks to a running proxy's admin API; every failure is one line that says what to do."""

import asyncio
import time
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from proxy.admin.api.live import RequestList
from proxy.admin.changes.payloads import Changed, HistoryPage, ProviderList
from proxy.admin.payloads import Explanation, PreflightBody, PreflightDone, Reloaded, RouteList
from proxy.admin.status import Status
from proxy.cli.calls import ChangeCall, escaped
from proxy.cli.refusals import InUseError, refusal_of
from proxy.cli.terminal import Failure
from proxy.telemetry.shadow import ShadowFigures

# A preflight takes 15 s at most.
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
# How often a change is sent whose answer doesn't come, and how long to wait while it is under way.
_TRIES = 5
_PAUSE_S = 0.5

Answer = TypeVar("Answer", bound=msgspec.Struct)
Made = TypeVar("Made", bound=Changed)


class _LostError(Failure):
    """The request may have been read, but there was no answer."""


class AdminApi:
    """The admin API of one proxy. Its methods raise `Failure`.

    Args:
        url: where the proxy's admin plane listens, without `/admin`.
        token: the admin token; empty where none is needed.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.headers = {"Accept": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def list_routes(self) -> RouteList:
        """Every route in force."""
        return self._call("GET", "/admin/routes", RouteList)

    def resolve(self, model: str) -> Explanation:
        """Where a request for the model would go, and why."""
        return self._call("GET", _with({"model": model}, "/admin/resolve"), Explanation)

    def history(self, model: str | None, limit: int, before: int | None = None) -> HistoryPage:
        """Changes, newest first."""
        query = {"model": model, "limit": str(limit), "before": None if before is None else str(before)}
        return self._call("GET", _with(query, "/admin/history"), HistoryPage)

    def providers(self) -> ProviderList:
        """The configured providers with their drains and endpoints."""
        return self._call("GET", "/admin/providers", ProviderList)

    def shadow(self, model: str) -> ShadowFigures:
        """A route and its candidate, side by side."""
        return self._call("GET", f"/admin/routes/{escaped(model)}/shadow", ShadowFigures)

    def status(self) -> Status:
        """How the proxy is."""
        return self._call("GET", "/admin/status", Status)

    def requests(self, query: Mapping[str, str | None]) -> RequestList:
        """The latest requests, filtered as the API does."""
        return self._call("GET", _with(query, "/admin/requests"), RequestList)

    def preflight(self, body: PreflightBody) -> PreflightDone:
        """Have endpoints tried out."""
        return self._call("POST", "/admin/preflight", PreflightDone, msgspec.json.encode(body))

    def reload(self) -> Reloaded:
        """Have the configuration read anew and put in force."""
        return self._call("POST", "/admin/reload", Reloaded)

    def foresee(self, call: ChangeCall[Made], expected: int | None) -> Made:
        """What a change would do, without doing it."""
        path = _with({**call.query, "dry_run": "true"}, call.path)
        return self._call(call.method, path, call.kind, call.body, _matching(expected))

    def change(self, call: ChangeCall[Made], key: str, expected: int | None) -> Made:
        """Make a change, once: it is sent again under the same key where no answer came.

        Args:
            call: the change.
            key: one for each change.
            expected: the revision that it is meant for; None: whichever is in force.

        Raises `StaleError` if that is another one.
        """
        path = _with(call.query, call.path)
        for _ in range(_TRIES):
            try:
                return self._call(
                    call.method, path, call.kind, call.body, {**_matching(expected), "Idempotency-Key": key}
                )
            except InUseError:
                time.sleep(_PAUSE_S)
            except _LostError:
                continue
        raise Failure(
            f"The proxy at {self.url} didn't answer {_TRIES} times, so it can't be told from here whether the change "
            "was made. `pointsman history` shows it."
        )

    def _call(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        try:
            status, answer = asyncio.run(self._exchange(method, path, body, headers or {}))
        except TimeoutError:
            raise _LostError(f"The proxy at {self.url} took too long to answer.") from None
        except ValueError:  # such as aiohttp's InvalidURL
            raise Failure(f"{self.url} is no URL of a proxy: expected one such as http://127.0.0.1:8787.") from None
        except aiohttp.ClientConnectorError:
            raise unreachable(self.url) from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            raise _LostError(f"The proxy at {self.url} closed the connection before its answer was whole.") from None
        except aiohttp.ClientError:
            raise Failure(f"What answers at {self.url} doesn't speak HTTP.") from None
        if status != 200:
            raise refusal_of(status, answer, self.url, has_token="Authorization" in self.headers)
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Failure(f"What answers at {self.url} is not a proxy's admin API.") from None

    async def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        # Escaped already; and no redirect is followed, for it could take the token elsewhere.
        url = URL(self.url + path, encoded=True)
        sent = {**self.headers, **headers} | ({"Content-Type": "application/json"} if body is not None else {})
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(method, url, data=body, headers=sent, allow_redirects=False) as response,
        ):
            return response.status, await response.read()


def unreachable(url: str) -> Failure:
    """Nothing listens there."""
    return Failure(f"No proxy answers at {url}. Is it running? --url or $POINTSMAN_URL says where it is.")


def _with(query: Mapping[str, str | None], path: str) -> str:
    said = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{path}?{said}" if said else path


def _matching(expected: int | None) -> dict[str, str]:
    return {} if expected is None else {"If-Match": f'"{expected}"'}
