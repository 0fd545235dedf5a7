"""What can be asked for here: `GET /v1/models`, `/v1/models/{id}` and `/v1/routes`."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec
from aiohttp import web

from proxy.errors import NotFoundError, UnknownModelError
from proxy.routing import DynamicRoutingTable, ModelEntry
from proxy.routing.names import neighbours

# A client's own prefix (`/openai/v1/models`) doesn't count.
_MODELS = re.compile(r"(?:/.*)?/v1/models(?:/(?P<id>.+))?")
_ROUTES = re.compile(r"(?:/.*)?/v1/routes")

Listed = dict[str, object]


def discover(table: DynamicRoutingTable, path: str, query: Mapping[str, str]) -> web.Response:
    """Answer a discovery request; raises `NotFoundError` for any other path and `UnknownModelError`."""
    if _ROUTES.fullmatch(path):
        return _json({"routes": table.list_routes()})
    if (models := _MODELS.fullmatch(path)) is None:
        raise NotFoundError(f"There is nothing at GET {path[:200]}: try /v1/models, /v1/routes or POST /v1/….")
    listed = _list_models(table)
    if models["id"] is not None:
        return _json(_one(listed, unquote(models["id"])))
    selected = [model for model in listed.values() if _matches(model, query)]
    return _json(
        {
            "object": "list",
            "data": selected,
            "has_more": False,
            "first_id": selected[0]["id"] if selected else None,
            "last_id": selected[-1]["id"] if selected else None,
        }
    )


def _list_models(table: DynamicRoutingTable) -> dict[str, Listed]:
    """Every routable name with what is known of it, sorted."""
    known = {entry.id: entry for entry in table.list_models()}
    return {
        route.model: _listed(known.get(route.model) or ModelEntry(route.model, route.provider), route.provider)
        for route in table.list_routes()
    }


def _listed(entry: ModelEntry, provider: str) -> Listed:
    """A model as OpenAI's list shows it, with the fields that Anthropic's SDK reads beside them.

    https://platform.openai.com/docs/api-reference/models/object, https://platform.claude.com/docs/en/api/models-list.
    The owner is who serves it now: a dynamic route may have moved it. When a model came into being is not known, so
    both protocols are told the beginning of time.
    """
    known = {name: value for name, value in msgspec.structs.asdict(entry).items() if value}
    return {
        "object": "model",
        "created": 0,
        "owned_by": provider,
        "type": "model",
        "display_name": entry.name or entry.id,
        "created_at": "1970-01-01T00:00:00Z",
        **known,
        "provider": provider,
    }


def _one(listed: Mapping[str, Listed], name: str) -> Listed:
    if name not in listed:
        raise UnknownModelError(name, neighbours(name, list(listed)))
    return listed[name]


def _matches(model: Listed, query: Mapping[str, str]) -> bool:
    return all(query[name] == model[name] for name in ("provider", "id") if name in query) and all(
        query[name] in _modalities(model, name) for name in ("input_modality", "output_modality") if name in query
    )


def _modalities(model: Listed, name: str) -> tuple[str, ...]:
    found = model.get(name.replace("modality", "modalities"), ())
    return found if isinstance(found, tuple) else ()


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
