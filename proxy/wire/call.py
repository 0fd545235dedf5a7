"""What a request asks for, told from its path and query, and where the same is asked at a provider.

Paths and queries stay as they came, percent-encoded; only the model's name in them is ever decoded or replaced.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote, unquote_plus

from proxy.errors import InvalidRequestError, NotFoundError, Protocol
from proxy.wire.model_name import check_model_name


class ModelPlace(StrEnum):
    """Where a request names its model."""

    BODY = "body"
    QUERY = "query"
    PATH = "path"


# A member of an enum is looked up in a tenth of the time under a name of its own.
_IN_QUERY: Final = ModelPlace.QUERY
# A client's own prefix may stand before the version (`/openai/v1/…`); what follows the first one counts.
_VERSIONED: Final = re.compile(r"(?:/.*?)?/(?P<version>v1|v1beta)(?P<rest>/.*)")
_GEMINI_METHOD: Final = re.compile(r"/models/(?P<model>.*):(?P<method>[A-Za-z]+)")
_VERSION_AT_END: Final = re.compile(r".*/v\d+\w*")
# A dot segment or a backslash could climb out of the provider's base URL.
_UNSAFE: Final = re.compile(r"//|\\|[\x00-\x20\x7f]|/\.{1,2}(?=[/;]|$)")
_ENCODED: Final = re.compile(r"%(?:2[eEfF]|5[cC])")
# RFC 3986 §3.3: a segment's characters, less the slash's percent-encoding in a model id that holds one.
_PATH_SAFE: Final = "!$&'()*+,;=:@-._~"
_QUERY_SAFE: Final = "!$'()*,;:@-._~/"
# What clients of Gemini, of Azure OpenAI's realtime API, and of OAuth (RFC 6750 §2.3) may prove their identity with.
_CREDENTIALS: Final = frozenset({"key", "api-key", "access-token"})


class Call:
    """One request's intent; it never changes.

    Args:
        protocol: the API family of the request.
        path: from the version on, such as `/v1/chat/completions`.
        operation: the path behind the version (`chat/completions`), with the model left out of Gemini's
            (`models:generateContent`).
        query: as it came, without the question mark.
        place: where the model is named.
        model: its name, if that is in the path or the query.
    """

    __slots__ = ("_hash", "model", "operation", "path", "place", "protocol", "query")

    def __init__(
        self, protocol: Protocol, path: str, operation: str, query: str, place: ModelPlace, model: str | None = None
    ) -> None:
        self.protocol: Final = protocol
        self.path: Final = path
        self.operation: Final = operation
        self.query: Final = query
        self.place: Final = place
        self.model: Final = model
        self._hash: Final = hash(self._told())

    def _told(self) -> tuple[object, ...]:
        return self.protocol, self.path, self.operation, self.query, self.place, self.model

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Call) and self._told() == other._told())

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        # Without the query, in which a client may prove its identity.
        return f"Call({self.protocol!r}, {self.path!r}, {self.operation!r}, {self.place!r}, {self.model!r})"

    def url(self, base_url: str, model_id: str) -> str:
        """Where a provider with this base URL is asked the same of `model_id`.

        An OpenAI-compatible base URL holds the version already, as in that SDK. Those of Anthropic's and Gemini's SDKs
        don't; both spellings will do.
        """
        path = self.path
        if self.protocol is Protocol.OPENAI or _VERSION_AT_END.fullmatch(base_url):
            path = path[path.index("/", 1) :]
        query = self.query
        if self.place is ModelPlace.PATH and model_id != self.model:
            model, _, method = path.rpartition(":")
            head = model[: model.index("/models/") + len("/models/")]
            path = f"{head}{quote(model_id, safe=_PATH_SAFE)}:{method}"
        elif self.place is ModelPlace.QUERY:
            query = _with_model(query, model_id)
        query = _without_credentials(query)
        return f"{base_url}{path}?{query}" if query else f"{base_url}{path}"


def parse_call(path: str, query: str) -> Call:
    """Tell what a request asks for; both arguments are raw, as they stand in the request line.

    Raises `NotFoundError` for a path that no API has, and `InvalidRequestError` for one that is not safe to pass on or
    that names its model badly.
    """
    call = _parse_path(path)
    if call.place is _IN_QUERY:
        return Call(call.protocol, call.path, call.operation, query, call.place, _model_in_query(query))
    return Call(call.protocol, call.path, call.operation, query, call.place, call.model) if query else call


# Clients ask at few paths. (The query is no part of it: it may hold a credential.)
@lru_cache(maxsize=256)
def _parse_path(path: str) -> Call:
    if _UNSAFE.search(_ENCODED.sub(lambda match: unquote(match[0]), path)):
        raise InvalidRequestError("The path holds a dot segment, an empty segment or characters that no API path has.")
    versioned = _VERSIONED.fullmatch(path)
    if versioned is None:
        shown = path[:200]
        raise NotFoundError(f"There is nothing at {shown}: API paths begin with /v1/. Did you mean /v1{shown}?")
    version, rest = versioned["version"], versioned["rest"]
    known_path, operation = f"/{version}{rest}", rest[1:]
    if method := _GEMINI_METHOD.fullmatch(rest):
        model = unquote(method["model"])
        check_model_name(model)
        operation = f"models:{method['method']}"
        return Call(Protocol.GEMINI, known_path, operation, "", ModelPlace.PATH, model)
    if version == "v1beta":
        raise NotFoundError("Under /v1beta/ there are only Gemini's /v1beta/models/{model}:method calls here.")
    if operation == "messages" or operation.startswith("messages/"):
        return Call(Protocol.ANTHROPIC, known_path, operation, "", ModelPlace.BODY)
    place = ModelPlace.QUERY if operation == "realtime" else ModelPlace.BODY
    return Call(Protocol.OPENAI, known_path, operation, "", place)


def _model_in_query(query: str) -> str:
    named = [value for name, value in _parameters(query) if name == "model"]
    if not named:
        raise InvalidRequestError("The query names no model: add ?model=….", param="model")
    check_model_name(named[-1])
    return named[-1]


def _parameters(query: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in query.split("&"))
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def _with_model(query: str, model_id: str) -> str:
    """The query with `model_id` as the value of each `model` parameter, all else as it was."""

    def replaced(part: str) -> str:
        name, _, value = part.partition("=")
        if unquote_plus(name) != "model" or unquote_plus(value) == model_id:
            return part
        return f"{name}={quote(model_id, safe=_QUERY_SAFE)}"

    return "&".join(map(replaced, query.split("&")))


def _without_credentials(query: str) -> str:
    """The query less what a client proves its identity with, which is no provider's to see."""
    return query and "&".join(part for part in query.split("&") if not _is_credential(part))


def _is_credential(part: str) -> bool:
    return unquote_plus(part.partition("=")[0]).lower().replace("_", "-") in _CREDENTIALS
