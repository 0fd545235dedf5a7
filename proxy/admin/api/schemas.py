"""The JSON schemas of what the admin API reads and gives, made by msgspec out of the types themselves."""

from collections.abc import Iterator, Sequence
from inspect import cleandoc
from typing import Any, TypeAlias

import msgspec
from msgspec import NODEFAULT
from msgspec.inspect import Field, StructType, Type, type_info

Json: TypeAlias = dict[str, Any]

_REF = "#/components/schemas/{name}"


class Schemas:
    """The schemas of all types that a document names.

    Args:
        read: the types of what clients send.
        given: those of what they get, or media types for what isn't JSON.

    Attributes:
        components: the structs and enumerations among them, by name.
    """

    def __init__(self, read: Sequence[object], given: Sequence[object]) -> None:
        kinds = list(dict.fromkeys([*read, *(kind for kind in given if not isinstance(kind, str))]))
        schemas, self.components = msgspec.json.schema_components(kinds, ref_template=_REF)
        self._schemas = dict(zip(kinds, schemas, strict=True))
        structs_read = {struct.cls for struct in _structs([type_info(kind) for kind in read])}
        for struct in _structs([type_info(kind) for kind in kinds if kind in given]):
            if struct.cls not in structs_read:
                self.components[struct.cls.__name__]["required"] = list(_always_given(struct))
        for component in self.components.values():
            component["description"] = cleandoc(component.get("description", ""))

    def of(self, kind: object) -> Json:
        """The schema of a type."""
        return self._schemas[kind]

    def content(self, kind: object) -> Json:
        """The content of an answer, by its media type."""
        if isinstance(kind, str):
            return {kind: {}}
        return {"application/json": {"schema": self.of(kind)}}


def parameters(kind: type[msgspec.Struct] | None, where: str) -> Iterator[Json]:
    """The parameters that a struct's fields are.

    Args:
        kind: the struct; None: no parameters.
        where: `query` or `header`.
    """
    if kind is None:
        return
    ((_,), components) = msgspec.json.schema_components([kind])
    struct = components[kind.__name__]
    for name, schema in struct["properties"].items():
        description = schema.pop("description", "")
        is_required = name in struct["required"]
        yield {"name": name, "in": where, "required": is_required, "description": description, "schema": schema}


def _structs(node: object) -> Iterator[StructType]:
    """Every struct within what msgspec tells of types."""
    if isinstance(node, StructType):
        yield node
    if isinstance(node, list | tuple):
        parts: Iterator[object] = iter(node)
    elif isinstance(node, Type | Field):
        parts = (getattr(node, name) for name in node.__struct_fields__)
    else:
        return
    for part in parts:
        yield from _structs(part)


def _always_given(struct: StructType) -> Iterator[str]:
    """The fields that no answer leaves out: msgspec tells those that no request may."""
    omits = struct.cls.__struct_config__.omit_defaults
    for each in struct.fields:
        has_default = each.default is not NODEFAULT or each.default_factory is not NODEFAULT
        if each.required or (has_default and not omits):
            yield each.encode_name
