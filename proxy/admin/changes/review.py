"""What speaks against a route before it is in force. Nothing is asked for it: what is known already must do."""

from collections.abc import Collection, Iterator
from itertools import chain

from msgspec import UNSET

from proxy.admin.changes.payloads import Warned
from proxy.admin.endpoints import EndpointReadings
from proxy.admin.payloads import RouteInForce
from proxy.config import Current, Settings
from proxy.routing import RouteEndpoint


class Review:
    """Reviews changed routes.

    Args:
        current: the settings in force; what their config routes say of model ids and contexts counts as known.
        readings: how the endpoints are.
    """

    def __init__(self, current: Current, readings: EndpointReadings) -> None:
        self._current = current
        self._readings = readings
        self._known = _Known(current.settings)

    def warnings(
        self, before: RouteInForce | None, after: RouteInForce | None, drained: Collection[str]
    ) -> Iterator[Warned]:
        """What speaks against going from one route to the other, with these providers drained."""
        if self._known.settings is not self._current.settings:
            self._known = _Known(self._current.settings)
        if after is None:
            if before is not None:
                message = f"`{before.model}` has no other route: its requests will be refused."
                yield Warned("no_route", message, before.model)
            return
        for endpoint in after.endpoints:
            for code, message in chain(self._of_endpoint(endpoint, drained), self._beside(endpoint, before or after)):
                yield Warned(code, message, after.model, endpoint.provider, endpoint.model_id)
        usable = {(each.provider, each.model_id) for each in after.endpoints if self._is_usable(each, drained)}
        if not usable:
            message = f"None of the endpoints of `{after.model}` is in service now."
            yield Warned("none_usable", message, after.model)
        elif len(usable) == 1:
            ((provider, model_id),) = usable
            message = f"`{after.model}` has no fallback: it stands and falls with `{provider}:{model_id}`."
            yield Warned("no_fallback", message, after.model)

    def _of_endpoint(self, endpoint: RouteEndpoint, drained: Collection[str]) -> Iterator[tuple[str, str]]:
        """What is wrong with an endpoint by itself."""
        name = f"`{endpoint.provider}:{endpoint.model_id}`"
        known = self._known
        if endpoint.provider in known.providers and (endpoint.provider, endpoint.model_id) not in known.contexts:
            yield "unknown_model_id", f"No config route names {name}: is the model id spelt right?"
        if endpoint.provider in drained:
            yield "provider_drained", f"Provider `{endpoint.provider}` is drained: no request goes there."
        reading = self._readings.find(endpoint.provider, endpoint.model_id)
        if reading is not None and reading.state != "closed":
            state = reading.state.replace("_", "-")
            yield "breaker_open", f"{name} is out of service: its breaker is {state} after failures."

    def _beside(self, endpoint: RouteEndpoint, other: RouteInForce) -> Iterator[tuple[str, str]]:
        """What it can't do that the other route's first endpoint can."""
        first = other.endpoints[0]
        providers = self._known.settings.providers
        mine, theirs = providers.get(endpoint.provider), providers.get(first.provider)
        if mine is not None and theirs is not None and (missing := theirs.protocols.keys() - mine.protocols.keys()):
            spoken = " and ".join(sorted(missing))
            message = (
                f"`{endpoint.provider}` doesn't speak {spoken}, as `{first.provider}` does: requests in that protocol "
                "can't go there."
            )
            yield "protocol_not_spoken", message
        context, wanted = self._context(endpoint), self._context(first)
        if context and wanted and context < wanted:
            message = (
                f"`{endpoint.provider}:{endpoint.model_id}` takes {context:,} tokens, "
                f"`{first.provider}:{first.model_id}` takes {wanted:,}: longer prompts will fail there."
            )
            yield "smaller_context", message

    def _context(self, endpoint: RouteEndpoint) -> int | None:
        own = endpoint.max_input_tokens
        return self._known.contexts.get((endpoint.provider, endpoint.model_id)) if own is UNSET else own

    def _is_usable(self, endpoint: RouteEndpoint, drained: Collection[str]) -> bool:
        reading = self._readings.find(endpoint.provider, endpoint.model_id)
        return endpoint.provider not in drained and (reading is None or reading.state != "open")


class _Known:
    """What settings tell of endpoints: which there are, and how much fits in."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.contexts: dict[tuple[str, str], int | None] = {}
        for model in settings.models.values():
            for each in model.endpoints:
                own = each.overrides.max_input_tokens if each.overrides is not None else None
                key = (each.provider, each.model_id)
                self.contexts[key] = own or self.contexts.get(key)
        self.providers = {provider for provider, _ in self.contexts}
