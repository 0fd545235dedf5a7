"""Plain values -> typed ones, collecting every fault on the way instead of stopping at the first.

What may stand where is said by the types alone: the fields of msgspec structs, and `Form`s for types that are written
otherwise than they are used.
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from types import NoneType
from typing import Annotated, Any, NamedTuple, TypeAlias, get_args, get_origin

import msgspec

from proxy.config.faults import Path, did_you_mean
from proxy.config.source import Invalid, Source

# A type as it stands in an annotation: a class, a union, a generic. Python has no type for these before 3.15.
Kind: TypeAlias = Any

_SHOWN_CHARS = 80
_USERINFO = re.compile(r"//.*@", re.DOTALL)
# A key may have been written into the query of a URL.
_QUERY = re.compile(r"(://[^?#]*[?#]).*", re.DOTALL)


class Form(NamedTuple):
    """How values of some type are written.

    Attributes:
        written: the type of what stands in the document.
        make: makes the value out of that; raises `ValueError` saying what was expected.
        is_secret: whether a fault must not show what is written.
    """

    written: Kind
    make: Callable[[Any], object]
    is_secret: bool = False


class PartOf(NamedTuple):
    """Marks a mapping that holds some of a struct's fields: `Annotated[dict[str, object], PartOf(Struct)]`."""

    struct: type[msgspec.Struct]


class Reader:
    """Reads typed values out of one source.

    Args:
        source: where the values stand, and where faults are recorded.
        forms: the types that are written otherwise than they are used.
        unshown: the sections of which a fault must show nothing.
    """

    def __init__(self, source: Source, forms: Mapping[Kind, Form], unshown: frozenset[str] = frozenset()) -> None:
        self._source = source
        self._forms = forms
        self._unshown = unshown

    def fields(self, value: object, struct: type[msgspec.Struct], path: Path) -> dict[str, Any]:
        """The sound ones among the fields of `struct` that a mapping gives; what is wrong is recorded.

        A key without a value counts as not given, and so does one whose value the environment left empty, save for
        secrets: an empty key is a decision.
        """
        kinds = {field.name: field.type for field in msgspec.structs.fields(struct)}
        sound: dict[str, Any] = {}
        for key, item in self._mapping(value, path).items():
            at = (*path, key)
            if key not in kinds:
                self._source.fault(at, f"unknown key; {did_you_mean(key, kinds)}")
            elif item is not None and not (item == "" and self._is_expanded(at) and not self._is_secret(kinds[key])):
                with suppress(_FaultyError):
                    sound[key] = self._read(item, kinds[key], at)
        return sound

    def mapping(self, value: object, key_kind: Kind, kind: Kind, path: Path) -> dict[Any, Any]:
        """The sound ones among the entries of a mapping; what is wrong is recorded."""
        sound: dict[Any, Any] = {}
        for key, item in self._mapping(value, path).items():
            with suppress(_FaultyError):
                name = self._key(key, key_kind, (*path, key))
                sound[name] = self._read(item, kind, (*path, key))
        return sound

    def _read(self, value: object, kind: Kind, path: Path) -> object:
        """The value as `kind`; raises `_FaultyError` if that can't be, once the fault is recorded."""
        if isinstance(value, Invalid):
            raise _FaultyError
        if (form := self._forms.get(kind)) is not None:
            return self._formed(value, form, path)
        origin: object = get_origin(kind)
        if origin is not None:
            return self._generic(value, origin, get_args(kind), path)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(value, kind, path)
        return self._leaf(value, kind, path)

    def _generic(self, value: object, origin: object, arguments: tuple[Kind, ...], path: Path) -> object:
        if origin is dict:
            return self.mapping(value, arguments[0], arguments[1], path)
        if origin is tuple:
            return self._tuple(value, arguments[0], path)
        if origin is Annotated:
            parts = [mark for mark in arguments[1:] if isinstance(mark, PartOf)]
            return self.fields(value, parts[0].struct, path) if parts else self._leaf(value, Annotated[arguments], path)
        return self._read(value, _alternative(value, arguments), path)

    def _struct(self, value: object, kind: type[msgspec.Struct], path: Path) -> msgspec.Struct:
        sound = self.fields(value, kind, path)
        missing = [field.name for field in msgspec.structs.fields(kind) if field.required and field.name not in sound]
        for name in missing:
            if self._source.is_sound((*path, name)):
                self._source.fault(path, f"`{name}` is missing")
        if missing:
            raise _FaultyError
        return kind(**sound)

    def _tuple(self, value: object, kind: Kind, path: Path) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise self._mismatch("a list", value, path)
        sound = []
        for index, item in enumerate(value):
            with suppress(_FaultyError):
                sound.append(self._read(item, kind, (*path, index)))
        return tuple(sound)

    def _formed(self, value: object, form: Form, path: Path) -> object:
        if form.is_secret and not isinstance(value, str):
            raise self._mismatch("text (put it in quotes)", None, path)
        written = self._read(value, form.written, path)
        try:
            return form.make(written)
        except ValueError as error:
            raise self._mismatch(str(error), None if form.is_secret else value, path) from error

    def _leaf(self, value: object, kind: Kind, path: Path) -> object:
        try:
            # What the environment fills in is text, whatever was meant by it.
            return msgspec.convert(value, kind, strict=not self._is_expanded(path))
        except msgspec.ValidationError as error:
            if isinstance(kind, type) and issubclass(kind, Enum):
                expected = f"one of {', '.join(str(choice.value) for choice in kind)}"
            else:
                expected = _in_words(str(error))
            raise self._mismatch(expected, value, path) from error

    def _key(self, key: str, kind: Kind, path: Path) -> object:
        try:
            form = self._forms.get(kind)
            return form.make(key) if form else msgspec.convert(key, kind)
        except msgspec.ValidationError as error:
            self._source.fault(path, f"unknown key; {did_you_mean(key, [choice.value for choice in kind])}")
            raise _FaultyError from error
        except ValueError as error:
            self._source.fault(path, f"as a key, expected {error}")
            raise _FaultyError from error

    def _mapping(self, value: object, path: Path) -> dict[str, object]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            # What stands here instead may be the very key or header that belongs inside.
            raise self._mismatch("a mapping", None, path)
        for key in value:
            if not isinstance(key, str):
                self._source.fault(path, f"expected keys of text, got {key!r}")
        return {key: item for key, item in value.items() if isinstance(key, str)}

    def _is_expanded(self, path: Path) -> bool:
        return (written := self._source.written.get(path)) is not None and written.expanded

    def _is_secret(self, kind: Kind) -> bool:
        return any((form := self._forms.get(each)) and form.is_secret for each in (kind, *get_args(kind)))

    def _mismatch(self, expected: str, value: object, path: Path) -> "_FaultyError":
        """Record that something else was expected; what is found is shown unless it is None, as for secrets."""
        is_shown = value is not None and self._unshown.isdisjoint(path[:1])
        shown = f", got {self._shown(value, path)}" if is_shown else ""
        self._source.fault(path, f"expected {expected}{shown}")
        return _FaultyError()

    def _shown(self, value: object, path: Path) -> str:
        if isinstance(value, Mapping):
            return "a mapping"
        if isinstance(value, list | tuple):
            return "a list"
        # As the file has it: what the environment filled in may be a secret.
        written = self._source.written.get(path)
        text = written.text if written and written.text is not None else str(value)
        text = _USERINFO.sub("//***@", _QUERY.sub(r"\1***", text))
        return json.dumps(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}...", ensure_ascii=False)


class _FaultyError(Exception):
    """The value can't be read; why is recorded."""


def _alternative(value: object, kinds: tuple[Kind, ...]) -> Kind:
    """The member of a union that a value is meant as: a struct if it is a mapping, else the other one."""
    members = [kind for kind in kinds if kind is not NoneType]
    structs = [kind for kind in members if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    if len(members) > 1 and structs:
        wanted = structs if value is None or isinstance(value, Mapping) else [k for k in members if k not in structs]
        return wanted[0]
    return members[0]


def _in_words(message: str) -> str:
    """What msgspec expected, as people say it: "Expected `int` >= 1, got `str`" -> "a whole number >= 1"."""
    expected = message.removeprefix("Expected ").partition(", got")[0]
    for kind, words in {"`str`": "text (in quotes)", "`int`": "a whole number", "`float`": "a number"}.items():
        expected = expected.replace(kind, words)
    return expected.replace("`", "")
