"""What the API says of itself: the document is one, leaves nothing out, and tells the truth about roles."""

from collections.abc import Iterator
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
import schemathesis
from aiohttp import web

from proxy import __version__
from proxy.admin import build_admin
from proxy.admin.paths import RULES
from proxy.app import Proxy
from proxy.config import hash_token
from tests.admin.test_guard import example
from tests.conftest import MakeProxy, url

ROLES = ["viewer", "operator", "admin"]


async def document_of(http: aiohttp.ClientSession, proxy: Proxy, **headers: str) -> dict[str, Any]:
    """The document as a client gets it."""
    async with http.get(url(proxy, "/admin/openapi.json"), headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        document: dict[str, Any] = await response.json()
        return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each operation's method, path and description."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_it_is_an_openapi_document(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """OpenAPI 3.1, by its own schema; every schema in it is one, and all that they refer to is there."""
    document = await document_of(http, proxy)

    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == __version__
    schemathesis.openapi.from_dict(document).validate()
    components = document["components"]
    for name in components["schemas"]:
        jsonschema_rs.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})
    ids = [operation["operationId"] for *_, operation in operations(document)]
    assert len(set(ids)) == len(ids)


async def test_it_leaves_nothing_out(
    monkeypatch: pytest.MonkeyPatch, make_proxy: MakeProxy, http: aiohttp.ClientSession
) -> None:
    """What it doesn't describe is a page, a form of one, or what belongs to pages; what it describes is there."""
    built: list[web.Application] = []

    def build(*args: Any, **options: Any) -> web.Application:
        built.append(build_admin(*args, **options))
        return built[0]

    monkeypatch.setattr("proxy.app.build_admin", build)
    proxy = await make_proxy()
    described = {(method, path) for method, path, _ in operations(await document_of(http, proxy))}

    (app,) = built
    routes = {(route.method, canonical(route)): rule for route, rule in app[RULES].items()}
    assert set(routes) == {(route.method, canonical(route)) for route in app.router.routes()}
    assert described < set(routes)
    assert ("DELETE", "/admin/routes/{model}") in described
    for method, path in set(routes) - described - {("HEAD", path) for _, path in described}:
        assert method in {"GET", "HEAD"} or routes[method, path].is_form, (method, path)
        html = {"Accept": "text/html"}
        async with http.get(url(proxy, example(path)), headers=html, allow_redirects=False) as response:
            assert response.content_type != "application/json", path


@pytest.mark.parametrize("role", ROLES)
async def test_each_call_takes_the_role_it_names(make_proxy: MakeProxy, http: aiohttp.ClientSession, role: str) -> None:
    """Who has the role that a call names, or one above it, isn't refused; who has less, is."""
    tokens = [{"name": f"some-{each}", "role": each, "hash": hash_token(each)} for each in ROLES]
    proxy = await make_proxy(admin={"tokens": tokens})
    headers = {"Authorization": f"Bearer {role}"}
    document = await document_of(http, proxy, **headers)

    for method, path, operation in operations(document):
        may = ROLES.index(role) >= ROLES.index(operation["x-role"])
        assert f"`{operation['x-role']}`" in operation["description"]
        async with http.request(method, url(proxy, example(path)), headers=headers) as response:
            assert (response.status != 403) == may, (method, path)


async def test_nobody_reads_it_without_a_token(make_proxy: MakeProxy, http: aiohttp.ClientSession) -> None:
    """Where a token is needed, the document needs it as well, and says how it is sent."""
    proxy = await make_proxy(admin={"token": "correct-horse"})
    async with http.get(url(proxy, "/admin/openapi.json")) as response:
        assert response.status == 401

    document = await document_of(http, proxy, Authorization="Bearer correct-horse")

    schemes = document["components"]["securitySchemes"]
    assert {each for scheme in document["security"] for each in scheme} == set(schemes)
    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", "pointsman_session")


async def test_answers_tell_what_they_always_hold(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """A field is optional in a request if there is a usual value, and in an answer only if it may be missing."""
    schemas = (await document_of(http, proxy))["components"]["schemas"]

    assert schemas["RouteBody"]["required"] == ["model", "endpoints"]
    assert {"status", "revision", "dry_run", "warnings"} <= set(schemas["Changed"]["required"])
    assert "preflight" not in schemas["RouteSet"]["required"]
    assert schemas["ErrorDetail"]["required"] == ["message"]


async def test_events_are_described_as_such(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    """The stream of events, and what the metrics are, by their media types."""
    paths = (await document_of(http, proxy))["paths"]

    assert set(paths["/admin/events"]["get"]["responses"]["200"]["content"]) == {"text/event-stream"}
    assert set(paths["/admin/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}


def canonical(route: web.AbstractRoute) -> str:
    """A route's path as it is written."""
    assert route.resource is not None
    return route.resource.canonical
