"""The routes of the config file, and direct names."""

from collections.abc import Mapping

from proxy.config import settings_from
from proxy.config.settings import Model, Provider, RouteStrategy
from proxy.errors import UnknownModelError
from proxy.routing.names import neighbours
from proxy.routing.resolution import Resolution, RouteSource, RoutingTarget
from proxy.routing.route import Route
from proxy.routing.types import ALWAYS_USABLE, Affinity, Conditions, ModelEntry, RouteEndpoint, RouteEntry, RouteView

Section = Mapping[str, object] | None


class ConfigRoutingTable:
    """A table that never changes: a reload makes a new one.

    A name without a route of its own may say directly where it goes, as `provider:model_id` or
    `provider/model_id`, if that provider is configured.

    Args:
        providers: the configured providers by name.
        models: the config routes by model. Both may also be plain mappings of the config file's shape, which raises
            `ConfigError` for what is wrong with them.
        before: the table that this one takes over from; its routes that stay the same go on where they are.
        conditions: what strategies go by beside their routes.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider | Section],
        models: Mapping[str, Model | Section],
        before: "ConfigRoutingTable | None" = None,
        conditions: Conditions = ALWAYS_USABLE,
    ) -> None:
        providers, models = _typed(providers, models)
        self._protocols = {name: str(provider.protocol) for name, provider in providers.items()}
        routes = [_route(name, model, conditions) for name, model in sorted(models.items())]
        self._routes = {route.model: route if before is None else before.same_or(route) for route in routes}
        self._names = list(self._routes)
        self._entries = [_model_entry(name, model) for name, model in sorted(models.items())]

    def same_or(self, route: Route) -> Route:
        """This table's own route where it equals the given one, or that."""
        own = self._routes.get(route.model)
        return own if own is not None and own.equals(route) else route

    def config_route(self, model: str) -> Route | None:
        """The route itself; None if the config file has none of this name."""
        return self._routes.get(model)

    async def route(self, model: str) -> RoutingTarget:
        """The target of the model's route, or of a direct name; raises `UnknownModelError`."""
        return (await self.resolve(model)).target

    async def resolve(self, model: str, affinity: Affinity | None = None) -> Resolution:
        """The target with its fallbacks; raises `UnknownModelError`."""
        if (route := self._routes.get(model)) is not None:
            return route.resolution(RouteSource.CONFIG, 0, affinity)
        if (direct := self._direct(model)) is not None:
            return Resolution(direct, (), RouteSource.DIRECT, 0)
        raise UnknownModelError(model, neighbours(model, self._names))

    def list_routes(self) -> list[RouteEntry]:
        """Every config route, sorted by model."""
        return [
            RouteEntry(route.model, provider := route.targets[0].provider_name, self._protocols.get(provider, provider))
            for route in self._routes.values()
        ]

    def list_models(self) -> list[ModelEntry]:
        """What is known of every model that has a config route, sorted by id."""
        return list(self._entries)

    def describe(self, model: str) -> RouteView | None:
        """The route that `model` would take, without taking it."""
        if (route := self._routes.get(model)) is not None:
            return RouteView(model, route.strategy, tuple(route.endpoints()), RouteSource.CONFIG, options=route.options)
        if (direct := self._direct(model)) is not None:
            endpoint = RouteEndpoint(direct.provider_name, direct.model_id)
            return RouteView(model, RouteStrategy.PRIORITY, (endpoint,), RouteSource.DIRECT)
        return None

    def describe_routes(self) -> list[RouteView]:
        """Every config route, sorted by model."""
        return [
            RouteView(route.model, route.strategy, tuple(route.endpoints()), RouteSource.CONFIG, options=route.options)
            for route in self._routes.values()
        ]

    def protocol_of(self, provider: str) -> str | None:
        """A provider's native protocol; None if it is not configured."""
        return self._protocols.get(provider)

    def accepts_provider(self, provider: str) -> bool:
        """Whether a route may name this provider: only one that is configured."""
        return provider in self._protocols

    def _direct(self, model: str) -> RoutingTarget | None:
        for separator in ":/":
            provider, found, model_id = model.partition(separator)
            if found and model_id and provider in self._protocols:
                return RoutingTarget(provider, model_id)
        return None


def _typed(
    providers: Mapping[str, Provider | Section], models: Mapping[str, Model | Section]
) -> tuple[dict[str, Provider], dict[str, Model]]:
    typed_providers = {name: value for name, value in providers.items() if isinstance(value, Provider)}
    typed_models = {name: value for name, value in models.items() if isinstance(value, Model)}
    if len(typed_providers) == len(providers) and len(typed_models) == len(models):
        return typed_providers, typed_models
    settings = settings_from({"providers": providers, "models": models})
    return settings.providers, settings.models


def _route(name: str, model: Model, conditions: Conditions) -> Route:
    return Route(
        name,
        model.strategy,
        tuple(RoutingTarget(e.provider, e.model_id, e.overrides) for e in model.endpoints),
        tuple(e.weight for e in model.endpoints),
        model.options,
        conditions,
    )


def _model_entry(name: str, model: Model) -> ModelEntry:
    return ModelEntry(
        id=name,
        provider=model.endpoints[0].provider,
        name=model.name,
        description=model.description,
        max_input_tokens=model.max_input_tokens,
        max_output_tokens=model.max_output_tokens,
        input_modalities=model.input_modalities,
        output_modalities=model.output_modalities,
    )
