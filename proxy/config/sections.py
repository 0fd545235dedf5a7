"""The config file's sections as they are written, and a conversion that finds every fault and not only the first."""

import types
import typing
from typing import Annotated, Union

import msgspec
from msgspec import Meta

from proxy.config.faults import Faults, closest
from proxy.config.settings import AuthStyle, RouteStrategy, Seconds, Timeouts
from proxy.errors import Protocol

Positive = Annotated[int, Meta(ge=1)]
Path = tuple[str, ...]


class ServerSection(msgspec.Struct):
    """`server`."""

    listen: str = "127.0.0.1:8787"
    max_body_bytes: Positive = 64 * 1024 * 1024
    client_idle_s: Seconds = 60.0
    shutdown_grace_s: Seconds = 300.0


class AdminSection(msgspec.Struct):
    """`admin`."""

    token: str = ""
    listen: str | None = None


class ProtocolSection(msgspec.Struct):
    """One protocol under `providers.NAME.protocols`."""

    base_url: str = ""
    auth: AuthStyle | None = None
    only: list[str] = []


class ProviderSection(msgspec.Struct):
    """One provider under `providers`."""

    derives: str | None = None
    base_url: str | None = None
    protocols: dict[Protocol, str | ProtocolSection] | None = None
    api_key: str | None = None
    auth: AuthStyle | None = None
    headers: dict[str, str] = {}
    timeouts: Timeouts | None = None
    ca_bundle: str | None = None
    proxy: str | None = None


class EndpointSection(msgspec.Struct):
    """One endpoint under `models.NAME.endpoints`."""

    provider: str
    model_id: str
    weight: Positive = 1
    headers: dict[str, str] = {}
    timeouts: Timeouts | None = None


class ModelSection(msgspec.Struct):
    """One model under `models`."""

    endpoints: list[EndpointSection]
    strategy: RouteStrategy = RouteStrategy.PRIORITY
    name: str | None = None
    description: str | None = None
    max_input_tokens: Positive | None = None
    max_output_tokens: Positive | None = None
    input_modalities: list[str] = []
    output_modalities: list[str] = []


class Document(msgspec.Struct):
    """The whole file."""

    server: ServerSection = msgspec.field(default_factory=ServerSection)
    admin: AdminSection = msgspec.field(default_factory=AdminSection)
    providers: dict[str, ProviderSection] = {}
    models: dict[str, ModelSection] = {}


def read_document(document: object, faults: Faults) -> Document:
    """The sections in a plain document; what is at fault is noted and left at its default."""
    read = _read_struct(Document, {} if document is None else document, (), faults)
    return read if isinstance(read, Document) else Document()


def _read(kind: object, value: object, path: Path, faults: Faults) -> object:
    """`value` as `kind`, or `msgspec.UNSET` if it can't be."""
    options = typing.get_args(kind) if typing.get_origin(kind) in {Union, types.UnionType} else (kind,)
    if value is None and type(None) in options:
        return None
    for option in options:
        inner = typing.get_args(option)
        if isinstance(option, type) and issubclass(option, msgspec.Struct) and not isinstance(value, str):
            return _read_struct(option, value, path, faults)
        if typing.get_origin(option) is dict and isinstance(value, dict):
            return _read_dict(inner[0], inner[1], value, path, faults)
        if typing.get_origin(option) is list and isinstance(value, list):
            items = [_read(inner[0], item, (*path, f"[{i}]"), faults) for i, item in enumerate(value)]
            return [item for item in items if item is not msgspec.UNSET]
    try:
        # Not strict, so that a number may come from an environment variable.
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        faults.add(path, str(error).partition(" - at")[0].replace("Expected", "expected"))
        return msgspec.UNSET


def _read_struct(kind: type[msgspec.Struct], value: object, path: Path, faults: Faults) -> object:
    if not isinstance(value, dict):
        faults.add(path, f"expected a mapping with {', '.join(kind.__struct_fields__)}")
        return msgspec.UNSET
    hints = typing.get_type_hints(kind, include_extras=True)
    for key in value.keys() - hints.keys():
        faults.add((*path, str(key)), f"unknown key; {closest(str(key), hints)}")
    read = {name: _read(hint, value[name], (*path, name), faults) for name, hint in hints.items() if name in value}
    read = {name: item for name, item in read.items() if item is not msgspec.UNSET}
    complete = True
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in read:
            complete = False
            if field.name not in value:
                faults.add(path, f"`{field.name}` is missing")
    return kind(**read) if complete else msgspec.UNSET


def _read_dict(key_kind: object, kind: object, value: dict[str, object], path: Path, faults: Faults) -> object:
    read = {}
    for key, item in value.items():
        read_key = _read(key_kind, key, (*path, key), faults)
        # `openai:` with nothing behind it means that everything is as usual.
        read_item = _read(kind, {} if item is None else item, (*path, key), faults)
        if read_key is not msgspec.UNSET and read_item is not msgspec.UNSET:
            read[read_key] = read_item
    return read
