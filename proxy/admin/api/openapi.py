"""`GET /openapi.json`: the API's own description, made of the calls that the router knows and the types they name.

https://spec.openapis.org/oas/v3.1.1
"""

import re
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import hdrs, web

from proxy import __version__
from proxy.admin.access.actor import Role
from proxy.admin.access.cookies import SESSION
from proxy.admin.access.forms import HEADER
from proxy.admin.api.schemas import Json, Schemas, parameters
from proxy.admin.paths import RULES, Call, Rule
from proxy.admin.payloads import ErrorAnswer

_JSON = "application/json"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")

_ABOUT = """\
What an operator asks of the proxy. Each call says in `x-role` which role it takes: `viewer`, `operator` or `admin`, of
which each includes the ones before it. Where no token is configured, none is needed. `HEAD` is answered as `GET` is."""

# The guard's, for whatever is asked; and those of whatever has a body.
_REFUSED = (400, 401, 403, 429)
_BODY_REFUSED = (408, 413, 415)

_WHEN = {
    400: "What is asked for can't be, or can't be read; also: a token in the address",
    401: "No token, or a wrong one",
    403: "The role doesn't suffice; or another site's page asks, or one that is out of date",
    404: "There is no such thing",
    408: "The body didn't come in time",
    409: "There is no way back so far; or the first request with the same `Idempotency-Key` is still under way",
    412: "Another revision is in force than `If-Match` names",
    413: "The body is too large",
    415: "The body is compressed, or a page sends something else than JSON",
    422: "The preflight failed; or the `Idempotency-Key` came with another request before",
    429: "Too many wrong tokens",
    503: "It can't be done now, such as while the audit trail can't be written",
}

_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of the tokens of the configuration."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION,
        "description": f"What the login page gives a browser; under TLS its name begins with `__Secure-`. Whatever "
        f"changes something then also needs the page's token in `{HEADER}`.",
    },
}

_PATH_PARAMETERS = {
    "model": "The model's name, percent-encoded as UTF-8, slashes as well.",
    "name": "The provider's name.",
}


class Document:
    """The document of one application, made when it is first asked for."""

    def __init__(self) -> None:
        self._body = b""

    @property
    def call(self) -> Call:
        """The call that gives it."""
        return Call(
            method=hdrs.METH_GET,
            path="/openapi.json",
            role=Role.VIEWER,
            handler=self.openapi,
            summary="This document",
            gives=dict[str, Any],
        )

    async def openapi(self, request: web.Request) -> web.Response:
        """`GET /openapi.json`: the document."""
        self._body = self._body or msgspec.json.encode(_describe(request.app[RULES]))
        return web.Response(body=self._body, content_type=_JSON)


def _describe(rules: dict[web.AbstractRoute, Rule]) -> Json:
    calls = [(route, rule.call) for route, rule in rules.items() if rule.call is not None]
    schemas = Schemas(
        [call.takes for _, call in calls if call.takes is not None],
        [ErrorAnswer, *(kind for _, call in calls for kind in (call.gives, *call.refuses.values()))],
    )
    paths: dict[str, Json] = {}
    for route, call in calls:
        if route.method == call.method and route.resource is not None:  # what `HEAD` does stands with `GET`
            path = route.resource.canonical
            paths.setdefault(path, {})[call.method.lower()] = _operation(path, call, schemas)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Pointsman's admin API", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {
                _name(status): _refusal(status, ErrorAnswer, schemas) for status in (*_REFUSED, *_BODY_REFUSED)
            },
            "securitySchemes": _SECURITY,
        },
    }


def _operation(path: str, call: Call, schemas: Schemas) -> Json:
    operation: Json = {
        "operationId": getattr(call.handler, "__name__", ""),
        "summary": call.summary,
        "description": f"Takes the role `{call.role}`. {call.details}".strip(),
        "x-role": call.role,
        "parameters": [
            *(_path_parameter(name) for name in _PLACEHOLDER.findall(path)),
            *parameters(call.query, "query"),
            *parameters(call.headers, "header"),
        ],
    }
    if call.takes is not None:
        operation["requestBody"] = {
            "required": call.needs_body,
            "content": {_JSON: {"schema": schemas.of(call.takes)}},
        }
    operation["responses"] = _responses(call, schemas)
    return operation


def _responses(call: Call, schemas: Schemas) -> Json:
    common = (*_REFUSED, *_BODY_REFUSED) if call.takes else _REFUSED
    return {
        "200": {"description": "Done", "content": schemas.content(call.gives)},
        **{str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in common},
        **{str(status): _refusal(status, kind, schemas) for status, kind in call.refuses.items()},
    }


def _refusal(status: int, kind: object, schemas: Schemas) -> Json:
    return {"description": _WHEN[status], "content": schemas.content(kind)}


def _name(status: int) -> str:
    """What a status is called, in one word."""
    return HTTPStatus(status).phrase.replace(" ", "")


def _path_parameter(name: str) -> Json:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": _PATH_PARAMETERS[name], "schema": schema}
