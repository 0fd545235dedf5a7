"""The ten rules of the routing table, each by its number (docs/architecture.md tells them in words)."""

import asyncio

import pytest

from proxy.config import ConfigError, settings_from
from proxy.config.settings import Endpoint, Model
from proxy.errors import InvalidRequestError, UnknownModelError
from proxy.routing import (
    ConfigRoutingTable,
    DynamicRoute,
    DynamicRoutingTable,
    ModelEntry,
    Resolution,
    RouteEndpoint,
    RouteEntry,
    RouteSource,
    RouteStrategy,
    RoutingTarget,
)

ALPHA, BETA = RouteEndpoint("alpha", "a-1"), RouteEndpoint("beta", "b-1")


class ThirdPartyTable:
    """A table as somebody else would write it: it only routes and lists, and takes its time to route."""

    async def route(self, model: str) -> RoutingTarget:
        await asyncio.sleep(0)
        if model != "default":
            raise InvalidRequestError(f"no route: {model}")
        return RoutingTarget("openai", "gpt-4o")

    def list_routes(self) -> list[RouteEntry]:
        return [RouteEntry("default", "openai", "openai")]

    def list_models(self) -> list[ModelEntry]:
        return [ModelEntry("default", "openai", description="the usual")]


@pytest.fixture
def table() -> DynamicRoutingTable:
    return DynamicRoutingTable(ThirdPartyTable())


@pytest.fixture
def config_table() -> ConfigRoutingTable:
    settings = settings_from(
        {
            "providers": {
                "openai": {},
                "anthropic": {},
                "openrouter": {},
            },
            "models": {
                "gpt-4o": {
                    "endpoints": [
                        {"provider": "openai", "model_id": "gpt-4o-2024"},
                        {"provider": "anthropic", "model_id": "claude"},
                    ]
                },
                "spread": {
                    "strategy": "load_balance",
                    "endpoints": [
                        {"provider": "openai", "model_id": "one"},
                        {"provider": "anthropic", "model_id": "two"},
                        {"provider": "openai", "model_id": "three"},
                    ],
                },
                "openai:special": {"endpoints": [{"provider": "anthropic", "model_id": "claude"}]},
                "anthropic/special": {"endpoints": [{"provider": "openai", "model_id": "o"}], "description": "odd"},
            },
        }
    )
    return ConfigRoutingTable(settings.providers, settings.models)


async def test_a_table_from_plain_mappings() -> None:
    """A table can be made of the config file's sections as they stand there; what is wrong with them is a fault."""
    models = {"m": {"endpoints": [{"provider": "local", "model_id": "x"}]}}
    table = ConfigRoutingTable({"local": {"derives": "anthropic", "base_url": "http://127.0.0.1:1"}}, models)

    assert await table.route("m") == RoutingTarget("local", "x")
    assert table.list_routes() == [RouteEntry("m", "local", "anthropic")]
    with pytest.raises(ConfigError, match="local"):
        ConfigRoutingTable({}, models)


async def test_rule_01_an_inner_tables_fallbacks_survive() -> None:
    """An inner table that resolves, without being one of ours, keeps its fallbacks."""

    class ResolvingThirdParty(ThirdPartyTable):
        async def resolve(self, model: str) -> Resolution:
            return Resolution(await self.route(model), (RoutingTarget("spare", "s"),), RouteSource.CONFIG, 7)

    table = DynamicRoutingTable(ResolvingThirdParty())
    assert (await table.resolve("default")).fallbacks == (RoutingTarget("spare", "s"),)
    assert (await table.resolve("default")).revision == 0


async def test_rule_01_a_dynamic_route_takes_precedence(table: DynamicRoutingTable) -> None:
    """A dynamic route wins over the inner table's; without one the inner table is asked."""
    assert await table.route("default") == RoutingTarget("openai", "gpt-4o")
    table.add_route(DynamicRoute("default", [ALPHA]))

    assert await table.route("default") == RoutingTarget("alpha", "a-1")
    assert (await table.resolve("default")).source is RouteSource.DYNAMIC
    assert isinstance(table.inner, ThirdPartyTable)


async def test_rule_01_a_resolution_tells_the_revision_that_decided() -> None:
    """A change made while the inner table still looks the model up is not the one that decided."""

    class SlowTable(ThirdPartyTable):
        asked, answer = asyncio.Event(), asyncio.Event()

        async def route(self, model: str) -> RoutingTarget:
            self.asked.set()
            await self.answer.wait()
            return await super().route(model)

    inner = SlowTable()
    table = DynamicRoutingTable(inner)
    resolving = asyncio.create_task(table.resolve("default"))
    await inner.asked.wait()
    table.add_route(DynamicRoute("default", [ALPHA]))
    inner.answer.set()
    before, after = await resolving, await table.resolve("default")

    assert (before.source, before.target.provider_name, before.revision) == (RouteSource.CONFIG, "openai", 0)
    assert (after.source, after.target.provider_name, after.revision) == (RouteSource.DYNAMIC, "alpha", 1)


async def test_rule_02_priority_takes_the_first_endpoint(table: DynamicRoutingTable) -> None:
    """`priority` always chooses the first; the others are its fallbacks, in order."""
    table.add_route(DynamicRoute("m", [ALPHA, BETA, ALPHA]))
    resolutions = [await table.resolve("m") for _ in range(3)]

    assert {resolution.target for resolution in resolutions} == {RoutingTarget("alpha", "a-1")}
    assert resolutions[0].fallbacks == (RoutingTarget("beta", "b-1"), RoutingTarget("alpha", "a-1"))


async def test_rule_02_load_balance_goes_round(table: DynamicRoutingTable) -> None:
    """Each route has a turn of its own, which begins at its first endpoint, and anew when the route is replaced."""
    for model in ("m", "n"):
        table.add_route(DynamicRoute(model, [ALPHA, BETA], RouteStrategy.LOAD_BALANCE))
    first = [(await table.route("m")).provider_name for _ in range(3)]
    other = (await table.route("n")).provider_name
    table.add_route(DynamicRoute("m", [ALPHA, BETA], RouteStrategy.LOAD_BALANCE))

    assert first == ["alpha", "beta", "alpha"]
    assert other == "alpha"
    assert (await table.route("m")).provider_name == "alpha"


async def test_rule_02_config_routes_do_the_same(config_table: ConfigRoutingTable) -> None:
    """Config routes know both strategies, and their fallbacks follow the chosen endpoint around."""
    turns = [await config_table.resolve("spread") for _ in range(4)]

    assert [turn.target.model_id for turn in turns] == ["one", "two", "three", "one"]
    assert [target.model_id for target in turns[1].fallbacks] == ["three", "one"]
    assert (await config_table.resolve("gpt-4o")).fallbacks == (RoutingTarget("anthropic", "claude"),)


@pytest.mark.parametrize(
    "route",
    [
        DynamicRoute("m", []),
        DynamicRoute("", [ALPHA]),
        DynamicRoute("m", [RouteEndpoint("alpha", "")]),
        DynamicRoute("m", [RouteEndpoint("", "a-1")]),
        DynamicRoute("m", [RouteEndpoint("alpha", "a", weight=0)]),
        DynamicRoute("m", [ALPHA], "fastest"),  # type: ignore[arg-type] # what an API may hand over
    ],
)
async def test_rule_03_a_route_that_cannot_serve_is_refused(route: DynamicRoute, table: DynamicRoutingTable) -> None:
    """A refused route changes nothing: neither the route that was there nor the revision."""
    table.add_route(DynamicRoute("m", [BETA]))
    with pytest.raises(InvalidRequestError):
        table.add_route(route)

    assert await table.route("m") == RoutingTarget("beta", "b-1")
    assert table.revision == 1
    assert len(table.list_dynamic_routes()) == 1


async def test_rule_03_add_route_replaces(table: DynamicRoutingTable) -> None:
    """A second route of the same model replaces the first."""
    table.add_route(DynamicRoute("m", [ALPHA]))
    table.add_route(DynamicRoute("m", [BETA]))

    assert await table.route("m") == RoutingTarget("beta", "b-1")
    assert table.revision == 2


async def test_rule_03_only_the_config_makes_providers(config_table: ConfigRoutingTable) -> None:
    """Where the inner table knows its providers, a route can't name another."""
    table = DynamicRoutingTable(config_table)
    with pytest.raises(InvalidRequestError, match="no provider `alpha`"):
        table.add_route(DynamicRoute("m", [RouteEndpoint("openai", "x"), ALPHA]))

    assert table.list_dynamic_routes() == []


async def test_rule_03_any_provider_where_none_are_known(table: DynamicRoutingTable) -> None:
    """Over a table that doesn't tell its providers a route may name any, through a further layer as well."""
    above = DynamicRoutingTable(table)
    above.add_route(DynamicRoute("m", [ALPHA]))

    assert await above.route("m") == RoutingTarget("alpha", "a-1")
    assert await above.route("default") == RoutingTarget("openai", "gpt-4o")


async def test_rule_04_remove_route(table: DynamicRoutingTable) -> None:
    """Removing tells whether a dynamic route was there; the one underneath comes back, and can't be removed itself."""
    table.add_route(DynamicRoute("default", [ALPHA]))

    assert table.remove_route("default") is True
    assert await table.route("default") == RoutingTarget("openai", "gpt-4o")
    assert table.remove_route("default") is False
    assert table.remove_route("nope") is False
    assert await table.route("default") == RoutingTarget("openai", "gpt-4o")
    assert table.revision == 2


def test_rule_05_list_routes_is_the_merged_view(config_table: ConfigRoutingTable) -> None:
    """Sorted by model, each once, the dynamic entry in the place of the config's, with its provider's protocol."""
    table = DynamicRoutingTable(config_table)
    table.add_route(DynamicRoute("gpt-4o", [RouteEndpoint("anthropic", "claude")]))
    table.add_route(DynamicRoute("aaa", [RouteEndpoint("openai", "x"), RouteEndpoint("anthropic", "y")]))

    assert table.list_routes() == [
        RouteEntry("aaa", "openai", "openai"),
        RouteEntry("anthropic/special", "openai", "openai"),
        RouteEntry("gpt-4o", "anthropic", "anthropic"),
        RouteEntry("openai:special", "anthropic", "anthropic"),
        RouteEntry("spread", "openai", "openai"),
    ]


def test_rule_05_over_a_table_that_only_lists(table: DynamicRoutingTable) -> None:
    """The protocol is taken from the inner table's list, or else is the provider's name."""
    table.add_route(DynamicRoute("a", [RouteEndpoint("openai", "x")]))
    table.add_route(DynamicRoute("b", [RouteEndpoint("anthropic", "y")]))

    assert [(entry.model, entry.protocol) for entry in table.list_routes()] == [
        ("a", "openai"),
        ("b", "anthropic"),
        ("default", "openai"),
    ]


async def test_rule_06_what_is_handed_in_and_out_are_copies(table: DynamicRoutingTable) -> None:
    """Whatever a caller does to the records it gave or got changes nothing in the table."""
    given = DynamicRoute("b", [RouteEndpoint("alpha", "a-1")])
    table.add_route(given)
    table.add_route(DynamicRoute("a", [BETA]))
    given.endpoints[0].model_id = "changed"
    given.endpoints.clear()
    got = table.list_dynamic_routes()[1]
    got.endpoints[0].provider = "changed"
    got.endpoints.append(BETA)
    got.model, got.strategy = "changed", RouteStrategy.LOAD_BALANCE

    assert [route.model for route in table.list_dynamic_routes()] == ["a", "b"]
    assert table.list_dynamic_routes()[1] == DynamicRoute("b", [RouteEndpoint("alpha", "a-1")])
    assert await table.route("b") == RoutingTarget("alpha", "a-1")


def test_rule_07_list_models_is_the_inner_registry(
    table: DynamicRoutingTable, config_table: ConfigRoutingTable
) -> None:
    """The models are those of the inner table; a dynamic route adds none."""
    table.add_route(DynamicRoute("other", [ALPHA]))

    assert table.list_models() == [ModelEntry("default", "openai", description="the usual")]
    assert [entry.id for entry in config_table.list_models()] == sorted(
        entry.id for entry in config_table.list_models()
    )
    assert config_table.list_models()[0] == ModelEntry("anthropic/special", "openai", description="odd")


async def test_rule_08_resolving_looks_at_no_other_route(table: DynamicRoutingTable) -> None:
    """Among 100,000 routes a name is compared with that of its own route alone."""
    compared: list[str] = []

    class WatchedName(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            compared.append(str(self))
            return str.__eq__(self, other)

    for number in range(100_000):
        table.add_route(DynamicRoute(WatchedName(f"model-{number}"), [RouteEndpoint("alpha", str(number))]))
    compared.clear()

    assert await table.route("model-50000") == RoutingTarget("alpha", "50000")
    assert compared == ["model-50000"]


async def test_rule_08_resolving_waits_for_nothing_of_its_own(table: DynamicRoutingTable) -> None:
    """A dynamic route is resolved in one go: nothing else runs between the question and the answer."""
    table.add_route(DynamicRoute("m", [ALPHA]))
    resolving = table.resolve("m")
    with pytest.raises(StopIteration) as done:
        resolving.send(None)

    assert done.value.value.target == RoutingTarget("alpha", "a-1")


async def test_rule_09_unknown_models_suggest_the_closest(config_table: ConfigRoutingTable) -> None:
    """An unknown model is an UnknownModelError that names the closest, from the dynamic and the config layer."""
    table = DynamicRoutingTable(config_table)
    table.add_route(DynamicRoute("gpt-5-fast", [RouteEndpoint("openai", "x")]))
    with pytest.raises(UnknownModelError, match="`gpt-4o`") as config_layer:
        await table.route("gpt4o")
    with pytest.raises(UnknownModelError, match="`gpt-5-fast`"):
        await table.route("gpt5fast")
    table.remove_route("gpt-5-fast")
    with pytest.raises(UnknownModelError) as removed:
        await table.route("gpt5fast")

    assert isinstance(config_layer.value, InvalidRequestError)
    assert (config_layer.value.status, config_layer.value.code, config_layer.value.param) == (
        404,
        "model_not_found",
        "model",
    )
    assert "gpt-5-fast" not in removed.value.message


async def test_rule_09_suggestions_among_many() -> None:
    """Among 100,000 names the closest is still suggested (few of them are compared: see the law of neighbours)."""
    model = Model((Endpoint("openai", "x"),))
    providers = settings_from({"providers": {"openai": {}}}).providers
    table = DynamicRoutingTable(ConfigRoutingTable(providers, {f"model-{n:05}": model for n in range(100_000)}))
    with pytest.raises(UnknownModelError, match="`model-54321`"):
        await table.route("model-54321x")


async def test_rule_09_another_tables_refusal_passes(table: DynamicRoutingTable) -> None:
    """What a third party's table raises is its own word."""
    with pytest.raises(InvalidRequestError, match="no route: nope"):
        await table.route("nope")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("openai:gpt-5", RoutingTarget("openai", "gpt-5")),
        ("openai/gpt-5", RoutingTarget("openai", "gpt-5")),
        ("openai:ft:gpt-4o:org::id", RoutingTarget("openai", "ft:gpt-4o:org::id")),
        ("openrouter/deepseek/deepseek-r1:free", RoutingTarget("openrouter", "deepseek/deepseek-r1:free")),
        ("openrouter:deepseek/deepseek-r1:free", RoutingTarget("openrouter", "deepseek/deepseek-r1:free")),
        ("openai:special", RoutingTarget("anthropic", "claude")),
        ("anthropic/special", RoutingTarget("openai", "o")),
    ],
)
async def test_rule_10_direct_names(name: str, target: RoutingTarget, config_table: ConfigRoutingTable) -> None:
    """A name may say its provider; a route of exactly that name wins."""
    assert await config_table.route(name) == target
    assert await DynamicRoutingTable(config_table).route(name) == target


@pytest.mark.parametrize("name", ["openai:", "openai/", "unknown:gpt", ":gpt", "openai", "OpenAI:gpt"])
async def test_rule_10_what_is_no_direct_name(name: str, config_table: ConfigRoutingTable) -> None:
    """A direct name needs a configured provider, spelled as it is, and a model id."""
    with pytest.raises(UnknownModelError):
        await config_table.route(name)
