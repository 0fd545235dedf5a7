"""The admin API's contract, over real sockets."""

import asyncio
import io
import json
from urllib.parse import quote

import pytest
from yarl import URL

from proxy.config.settings import Delivery, EndpointOverrides, HedgeAfter, RouteOptions
from proxy.routing import DynamicRoute, DynamicRoutingTable, RouteEndpoint
from tests.admin.conftest import AdminClient, csrf_of

BETA = {"provider": "beta", "model_id": "beta-9"}


async def post(admin: AdminClient, body: object) -> tuple[int, dict[str, object]]:
    async with admin.post("/admin/routes", json=body) as response:
        return response.status, await response.json()


async def refusal(admin: AdminClient, body: object) -> str:
    """The message with which a body is refused with 400."""
    status, answer = await post(admin, body)
    assert status == 400
    error = answer["error"]
    assert isinstance(error, dict)
    assert set(error) == {"message"}
    return str(error["message"])


async def delete(admin: AdminClient, model: str) -> tuple[int, dict[str, object]]:
    # `TestClient` would parse the path again, and take the dots of `..` for steps.
    url = URL(f"{admin.make_url('/')}admin/routes/{quote(model, safe='')}", encoded=True)
    async with admin.session.delete(url) as response:
        return response.status, await response.json()


async def test_lists_every_route_in_force(admin: AdminClient) -> None:
    """GET /routes gives each model once, sorted, with its endpoints, and the revision also as the ETag."""
    await post(admin, {"model": "fast", "endpoints": [BETA]})
    await post(admin, {"model": "added", "endpoints": [{**BETA, "weight": 3}], "strategy": "load_balance"})

    async with admin.get("/admin/routes") as response:
        assert response.status == 200
        assert response.headers["ETag"] == '"2"'
        assert response.content_type == "application/json"
        listed = await response.json()

    assert listed["revision"] == 2
    assert listed["routes"] == [
        {
            "model": "added",
            "strategy": "load_balance",
            "endpoints": [{"provider": "beta", "model_id": "beta-9", "weight": 3}],
            "source": "dynamic",
            "shadows_config": False,
            "protocol": "anthropic",
            "shadowed": None,
        },
        {
            "model": "fast",
            "strategy": "priority",
            "endpoints": [{"provider": "beta", "model_id": "beta-9", "weight": 1}],
            "source": "dynamic",
            "shadows_config": True,
            "protocol": "anthropic",
            "shadowed": {
                "strategy": "priority",
                "endpoints": [
                    {"provider": "alpha", "model_id": "alpha-1", "weight": 1},
                    {"provider": "beta", "model_id": "beta-1", "weight": 1},
                ],
            },
        },
        {
            "model": "spread",
            "strategy": "load_balance",
            "endpoints": [
                {"provider": "alpha", "model_id": "alpha-2", "weight": 1},
                {"provider": "beta", "model_id": "beta-2", "weight": 1},
            ],
            "source": "config",
            "shadows_config": False,
            "protocol": "openai",
            "shadowed": None,
        },
    ]


async def test_set_route_is_in_force_at_once(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """An accepted POST answers with the new revision, and the next resolution takes the new route."""
    status, answer = await post(admin, {"model": "fast", "endpoints": [BETA]})

    assert status == 200
    assert answer.items() >= {"status": "ok", "model": "fast", "revision": 1}.items()
    assert (await table.route("fast")).model_id == "beta-9"


async def test_set_route_replaces_the_dynamic_route(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """A second POST for a model replaces the first one's route."""
    await post(admin, {"model": "fast", "endpoints": [BETA]})
    status, answer = await post(admin, {"model": "fast", "endpoints": [{"provider": "alpha", "model_id": "alpha-9"}]})

    assert (status, answer["revision"]) == (200, 2)
    assert [route.endpoints for route in table.list_dynamic_routes()] == [[RouteEndpoint("alpha", "alpha-9")]]


async def test_removed_route_gives_way_to_config(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """DELETE removes the dynamic route, and the config route is back in force."""
    await post(admin, {"model": "fast", "endpoints": [BETA]})
    status, answer = await delete(admin, "fast")

    assert status == 200
    assert answer.items() >= {"status": "ok", "model": "fast", "removed": True, "revision": 2}.items()
    assert (await table.route("fast")).model_id == "alpha-1"


async def test_config_route_cannot_be_removed(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """DELETE of a config route is 404, and says that only the config file can change it."""
    status, answer = await delete(admin, "fast")

    assert status == 404
    assert answer == {
        "error": {"message": "`fast` has no dynamic route. Its config route can only be changed in the config file."}
    }
    assert table.revision == 0


async def test_removing_nothing_is_not_found(admin: AdminClient) -> None:
    """DELETE of a name that has no route at all is 404."""
    status, answer = await delete(admin, "nobody")

    assert status == 404
    assert "nothing to remove" in str(answer)


@pytest.mark.parametrize(
    "model",
    ["a/b", "a%2Fb", "a%252Fb", "ü:ö/😀", "..", ".", "../..", "a?b", "a b", "a+b", "a#b", "/", "//", "a//", "%", "a\\b", "'\"<b>"],
)  # fmt: skip
async def test_any_name_can_be_set_and_removed(admin: AdminClient, table: DynamicRoutingTable, model: str) -> None:
    """A name is decoded exactly once: the route that was set is the one that is removed, and no other."""
    decoy = DynamicRoute("a", [RouteEndpoint("beta", "beta-1")])
    table.add_route(decoy)
    assert (await post(admin, {"model": model, "endpoints": [BETA]}))[0] == 200
    assert model in [route.model for route in table.list_dynamic_routes()]

    status, answer = await delete(admin, model)

    assert (status, answer["model"]) == (200, model)
    assert table.list_dynamic_routes() == [decoy]


async def test_lower_case_escapes_and_bare_slashes_name_the_same(
    admin: AdminClient, table: DynamicRoutingTable
) -> None:
    """`a%2fb` and an unescaped `a/b` in the path are the name `a/b` too."""
    for path in ("/admin/routes/a%2fb", "/admin/routes/a/b"):
        table.add_route(DynamicRoute("a/b", [RouteEndpoint("beta", "beta-1")]))
        async with admin.delete(URL(path, encoded=True)) as response:
            assert response.status == 200
    assert table.list_dynamic_routes() == []


@pytest.mark.parametrize("escaped", ["a%0Ab", "%00", "a%C2%85", "a" * 513])
async def test_impossible_names_are_refused_on_both_ways(admin: AdminClient, escaped: str) -> None:
    """A name with control characters, or of more than 512 characters, is 400 in the path and in the body."""
    url = URL(f"/admin/routes/{escaped}", encoded=True)
    async with admin.delete(url) as response:
        assert response.status == 400
    await refusal(admin, {"model": URL(f"/{escaped}", encoded=True).path[1:], "endpoints": [BETA]})


async def test_path_that_is_not_utf8_is_refused(admin: AdminClient) -> None:
    """Bytes that are no UTF-8 name no model."""
    async with admin.delete(URL("/admin/routes/%FF", encoded=True)) as response:
        assert response.status == 400
        assert "UTF-8" in await response.text()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"model": "m", "endpoints": []}, "no endpoints"),
        ({"model": "", "endpoints": [BETA]}, "empty"),
        ({"model": "m"}, "missing required field `endpoints`"),
        ({"model": None, "endpoints": [BETA]}, "model: Expected `str`, got `null`"),
        ({"model": "m", "endpoints": [{**BETA, "provider": "gamma"}]}, "no provider `gamma`"),
        ({"model": "m", "endpoints": [{**BETA, "model_id": ""}]}, "no model_id"),
        ({"model": "m", "endpoints": [{**BETA, "model_id": "x\ny"}]}, "control characters"),
        ({"model": "m", "endpoints": [{**BETA, "weight": 0}]}, "endpoints[0].weight: Expected `int` >= 1"),
        ({"model": "m", "endpoints": [{**BETA, "weight": 10**30}]}, "endpoints[0].weight"),
        ({"model": "m", "endpoints": [BETA] * 65}, "length <= 64"),
        ({"model": "m", "endpoints": [BETA], "strategy": "fastest"}, "expected one of priority, load_balance"),
        ({"model": "m", "endpointz": [BETA]}, "Unknown field `endpointz`: did you mean `endpoints`?"),
        ({"model": "m", "endpoints": [{**BETA, "modelid": "x"}]}, "did you mean `model_id`?"),
        ({"model": "m", "endpoints": [BETA], "zz": 1}, "Unknown field `zz`: expected model, endpoints, strategy, "),
        ([], "Expected `object`, got `array`"),
    ],
)  # fmt: skip
async def test_refused_route_changes_nothing(
    admin: AdminClient, table: DynamicRoutingTable, body: object, message: str
) -> None:
    """A body that makes no route is 400 with a message that names what is wrong, and the table stays as it was."""
    assert message in await refusal(admin, body)
    assert table.revision == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delivery": "slow"}, "delivery: expected live or whole, got 'slow'"),
        ({"hedge_after": "p99"}, "hedge_after: expected seconds or p95, got 'p99'"),
        ({"hedge_after": -1}, "hedge_after: Expected `float` > 0"),
        ({"ping_s": "often"}, "ping_s: Expected `float | null`, got `str`"),
        ({"failover_on": "connect"}, "failover_on: Expected `array`, got `str`"),
        ({"failover_on": ["connect", "cut"]}, "failover_on: expected some of connect, broken"),
        ({"sticky_header": "a b"}, "sticky_header: expected the name of a header"),
        ({"sticky_header": "Content-Length"}, "none that belongs to the connection itself"),
        ({"deliverey": "live"}, "Unknown field `deliverey`: did you mean `delivery`?"),
        ({"endpoints": [{**BETA, "max_input_tokens": 0}]}, "endpoints[0].max_input_tokens: Expected `int` >= 1"),
    ],
)
async def test_refused_options_say_what_was_expected(
    admin: AdminClient, table: DynamicRoutingTable, options: dict[str, object], message: str
) -> None:
    """Options are read as strictly as the rest of the route."""
    assert message in await refusal(admin, {"model": "m", "endpoints": [BETA], **options})
    assert table.revision == 0


async def test_options_are_in_force_and_listed(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """A dynamic route takes the options of config routes as flat keys; the list tells them where they are unusual."""
    options = {"failover_on": [], "delivery": "whole", "hedge_after": "p95", "ping_s": 5, "sticky_header": "X-Session"}
    endpoints = [{**BETA, "max_input_tokens": 200_000}]
    status, _ = await post(admin, {"model": "fast", "endpoints": endpoints, "strategy": "sticky", **options})
    resolution = await table.resolve("fast")

    assert status == 200
    assert resolution.options == RouteOptions((), Delivery.WHOLE, HedgeAfter.P95, 5, "X-Session")
    assert resolution.target.overrides == EndpointOverrides(max_input_tokens=200_000)
    async with admin.get("/admin/routes") as response:
        fast, spread = (await response.json())["routes"]
    assert (fast["strategy"], fast["options"]) == ("sticky", {**options, "shadow": None})
    assert fast["endpoints"] == [{**BETA, "weight": 1, "max_input_tokens": 200_000}]
    assert "options" not in spread


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"model=m", b'{"model": "\xff", "endpoints": []}', b"[" * 100_000, b'{"model": "\\ud800", "endpoints": []}'],
)  # fmt: skip
async def test_body_that_is_not_json_is_refused(admin: AdminClient, body: bytes) -> None:
    """What can't be read as JSON is 400 with the admin plane's error shape."""
    async with admin.post("/admin/routes", data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 400
        assert set(await response.json()) == {"error"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_only_json_is_read(admin: AdminClient, content_type: str) -> None:
    """What a page's form can send is 415, even if it holds JSON; a program's body is taken at its word."""
    body = json.dumps({"model": "m", "endpoints": [BETA]})
    headers = {"Content-Type": content_type}
    async with admin.post("/admin/routes", data=body, headers=headers) as response:
        assert response.status == 200
    headers |= {"Sec-Fetch-Site": "same-origin", "X-CSRF-Token": await csrf_of(admin)}
    async with admin.post("/admin/routes", data=body, headers=headers) as response:
        assert response.status == 415
        assert "application/json" in (await response.json())["error"]["message"]


async def test_compressed_body_is_refused(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """A compressed body is 415: nothing is inflated here."""
    async with admin.post("/admin/routes", json={"model": "m", "endpoints": [BETA]}, compress="deflate") as response:
        assert response.status == 415
    assert table.revision == 0


async def test_body_beyond_a_mebibyte_is_too_large(admin: AdminClient) -> None:
    """A body of more than 1 MiB is 413."""
    body = b'{"model": "' + b"x" * 1024 * 1024 + b'"}'
    headers = {"Content-Type": "application/json"}
    async with admin.post("/admin/routes", data=io.BytesIO(body), headers=headers) as response:
        assert response.status == 413
        assert set(await response.json()) == {"error"}


async def test_resolve_explains_every_source(admin: AdminClient) -> None:
    """GET /resolve tells source, order and reason of a dynamic route, a config route and a direct name."""
    await post(admin, {"model": "fast", "endpoints": [BETA]})
    explained = {}
    for model in ("fast", "spread", "beta:some/model"):
        async with admin.get("/admin/resolve", params={"model": model}) as response:
            assert response.status == 200
            explained[model] = await response.json()

    assert explained["fast"]["source"] == "dynamic"
    assert "shadows" in explained["fast"]["why"]
    assert explained["fast"]["revision"] == 1
    assert explained["spread"]["source"] == "config"
    assert explained["spread"]["strategy"] == "load_balance"
    assert explained["beta:some/model"]["source"] == "direct"
    assert explained["beta:some/model"]["endpoints"] == [{"provider": "beta", "model_id": "some/model", "weight": 1}]


async def test_resolve_takes_no_turn(admin: AdminClient, table: DynamicRoutingTable) -> None:
    """Asking where a name goes doesn't move its round robin on."""
    for _ in range(3):
        async with admin.get("/admin/resolve", params={"model": "spread"}) as response:
            assert response.status == 200
    assert (await table.route("spread")).provider_name == "alpha"


async def test_resolve_of_an_unknown_name_offers_the_closest(admin: AdminClient) -> None:
    """An unknown name is 404 with the closest known one; no name at all is 400."""
    async with admin.get("/admin/resolve", params={"model": "spreed"}) as response:
        assert response.status == 404
        assert "`spread`" in (await response.json())["error"]["message"]
    async with admin.get("/admin/resolve") as response:
        assert response.status == 400


async def test_unknown_paths_and_methods_have_the_error_shape(admin: AdminClient) -> None:
    """404 and 405 answer a program in JSON; 405 names what is possible."""
    async with admin.get("/admin/nothing") as response:
        assert response.status == 404
        assert set((await response.json())["error"]) == {"message"}
    async with admin.put("/admin/routes") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD, POST"
        assert set((await response.json())["error"]) == {"message"}


async def test_browser_gets_a_page_for_an_error(admin: AdminClient) -> None:
    """The same refusal is a small HTML page with the same status where a browser asks."""
    async with admin.get("/admin/nothing", headers={"Accept": "text/html,*/*;q=0.8"}) as response:
        assert response.status == 404
        assert response.content_type == "text/html"
        assert "There is nothing at this path" in await response.text()


async def test_concurrent_changes_each_get_a_revision_of_their_own(admin: AdminClient) -> None:
    """Fifty POSTs at once give fifty different revisions."""
    answers = await asyncio.gather(*(post(admin, {"model": f"m{n}", "endpoints": [BETA]}) for n in range(50)))
    assert sorted(int(str(answer["revision"])) for _, answer in answers) == list(range(1, 51))
