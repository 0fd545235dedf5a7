"""What can be asked for here: `GET /v1/models`, `/v1/models/{id}` and `/v1/routes`."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec
from aiohttp import web

from proxy.errors import NotFoundError, UnknownModelError
from proxy.routing import DynamicRoutingTable, ModelEntry

# A client's own prefix (`/openai/v1/models`) doesn't count.
_MODELS = re.compile(r"(?:/.*)?/v1/models(?:/(?P<id>.+))?")
_ROUTES = re.compile(r"(?:/.*)?/v1/routes")

_UNKNOWN_TIME = "1970-01-01T00:00:00Z"


class ListedModel(msgspec.Struct, omit_defaults=True):
    """A model as OpenAI's list shows it, with the fields that Anthropic's SDK reads beside them.

    https://platform.openai.com/docs/api-reference/models/object, https://platform.claude.com/docs/en/api/models-list.
    When a model came into being is not known, so both say the beginning of time.
    """

    id: str
    owned_by: str
    object: str = "model"
    created: int = 0
    type: str = "model"
    display_name: str = ""
    created_at: str = _UNKNOWN_TIME
    provider: str = ""
    name: str | None = None
    description: str | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()


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
            "first_id": selected[0].id if selected else None,
            "last_id": selected[-1].id if selected else None,
        }
    )


def _list_models(table: DynamicRoutingTable) -> dict[str, ListedModel]:
    """Every routable name with what is known of it, sorted."""
    known = {entry.id: entry for entry in table.list_models()}
    return {
        route.model: _listed(known.get(route.model) or ModelEntry(route.model, route.provider), route.provider)
        for route in table.list_routes()
    }


def _listed(entry: ModelEntry, provider: str) -> ListedModel:
    """The model as it is routed now: a dynamic route may have moved it to another provider."""
    return ListedModel(
        id=entry.id,
        owned_by=provider,
        display_name=entry.name or entry.id,
        provider=provider,
        name=entry.name,
        description=entry.description,
        max_input_tokens=entry.max_input_tokens,
        max_output_tokens=entry.max_output_tokens,
        input_modalities=entry.input_modalities,
        output_modalities=entry.output_modalities,
    )


def _one(listed: Mapping[str, ListedModel], name: str) -> ListedModel:
    if name not in listed:
        raise UnknownModelError(name)
    return listed[name]


def _matches(model: ListedModel, query: Mapping[str, str]) -> bool:
    return (
        query.get("provider", model.provider) == model.provider
        and query.get("id", model.id) == model.id
        and ("input_modality" not in query or query["input_modality"] in model.input_modalities)
        and ("output_modality" not in query or query["output_modality"] in model.output_modalities)
    )


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
