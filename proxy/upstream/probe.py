"""Asking a provider that is left alone whether it is well, so that no client's request has to find out.

Only where the config says so (`probe`): a list of models costs the provider nothing, and tells little; a request to the
endpoint costs a token, and tells what a client's would.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from proxy.config.settings import ProbeBy
from proxy.errors import Protocol, ProxyError
from proxy.routing import RoutingTarget
from proxy.upstream.client import Upstream
from proxy.upstream.endpoint_health import EndpointHealth
from proxy.upstream.health import Health
from proxy.upstream.token_request import OWN_HEAD, ask_for_a_token
from proxy.wire import Call, ModelPlace

# How often it is looked whether a probe is due.
_LOOK_S = 1.0
# A provider that takes longer for a single token is not well.
_LIMIT_S = 30.0
# What tells of the provider, and not of what was asked.
_SICK = frozenset({401, 403, 404, 408, 429})

_PREFIXES = {Protocol.OPENAI: "v1", Protocol.ANTHROPIC: "v1", Protocol.GEMINI: "v1beta"}
_log = logging.getLogger("pointsman.health")


class Prober:
    """Probes what is out of service; an async context manager that does so while it is open.

    Args:
        upstream: the way to the providers; to be closed after the prober.
        health: says what is out of service, and is told what answers again.
        clock: seconds, never going back.
    """

    def __init__(self, upstream: Upstream, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        self._upstream = upstream
        self._health = health
        self._clock = clock
        # By what is asked: a provider, or one of its models.
        self._asked_at: dict[tuple[str, str | None], float] = {}
        self._faults: dict[tuple[str, str | None], str] = {}
        self._probes: dict[tuple[str, str | None], asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._keep_looking())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [self._looking, *self._probes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def under_way(self) -> list[asyncio.Task[None]]:
        """The probes that have begun and not ended."""
        return list(self._probes.values())

    def look(self) -> None:
        """Begin the probes that are due: of each thing that is out of service, `every_s` after it was found so."""
        now = self._clock()
        places = self._places()
        self._asked_at = {place: self._asked_at.get(place, now) for place in places}
        self._faults = {place: fault for place, fault in self._faults.items() if place in places}
        for place, (every_s, endpoints) in places.items():
            if place not in self._probes and now - self._asked_at[place] >= every_s:
                self._asked_at[place] = now
                self._probes[place] = asyncio.create_task(self._probe(place, endpoints))

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def _places(self) -> dict[tuple[str, str | None], tuple[float, list[EndpointHealth]]]:
        """What there is to probe: how often, and which endpoints are well if it is."""
        places: dict[tuple[str, str | None], tuple[float, list[EndpointHealth]]] = {}
        for endpoint in self._health.troubled():
            provider = self._upstream.provider(endpoint.provider)
            # Who asked for a pause is answered by one.
            if provider is not None and (probe := provider.probe) is not None and not endpoint.is_pausing:
                model_id = endpoint.model_id if probe.by is ProbeBy.REQUEST else None
                places.setdefault((provider.name, model_id), (probe.every_s, []))[1].append(endpoint)
        return places

    async def _probe(self, place: tuple[str, str | None], endpoints: list[EndpointHealth]) -> None:
        provider, model_id = place
        try:
            async with asyncio.timeout(_LIMIT_S):
                fault = await self._fault(provider, model_id)
        except ProxyError as error:
            fault = error.message
        except TimeoutError:
            fault = f"no answer within {_LIMIT_S:g} s"
        finally:
            del self._probes[place]
        if fault is None:
            for endpoint in endpoints:
                if not endpoint.is_pausing:  # it may have asked for a pause meanwhile
                    endpoint.recovered()
        elif self._faults.get(place) != fault:
            self._faults[place] = fault
            _log.info("Probe of %r: %s", provider if model_id is None else f"{provider}:{model_id:.200}", fault)

    async def _fault(self, name: str, model_id: str | None) -> str | None:
        """Ask; what is wrong, if anything is."""
        provider = self._upstream.provider(name)
        if provider is None:
            return "it is not configured any more"
        protocol = provider.protocol
        if model_id is None:
            call = Call(protocol, f"/{_PREFIXES[protocol]}/models", "models", "", ModelPlace.BODY)
            listed = await self._upstream.look_up(name, call, OWN_HEAD)
            status = listed.message.status
            listed.close()
        else:
            answer = await ask_for_a_token(self._upstream, RoutingTarget(name, model_id), protocol)
            if answer.broken is not None:
                return answer.broken.message
            status = answer.status
        return f"status {status}" if status >= 500 or status in _SICK else None
