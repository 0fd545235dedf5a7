"""Text -> a plain document that remembers where each value stands.

Everything about YAML and about `${NAME}` is here; what the values mean is decided elsewhere.
"""

import re
from collections.abc import Mapping

import msgspec
import yaml

from proxy.config.faults import Fault, Path, path_text

# Aliases can make a short document unfold without end ("billion laughs").
_MAX_VALUES = 100_000
_MAX_DEPTH = 50

_REFERENCE = re.compile(r"\$?\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})?")
_TAG = "tag:yaml.org,2002:"


class Invalid:
    """Stands in the document for a value whose fault is already recorded."""


class Written(msgspec.Struct, frozen=True):
    """How a value stands in the file.

    Attributes:
        line: counted from 1.
        text: a scalar as it is written, before the environment is filled in; None for a mapping or a list.
        expanded: whether the environment was filled in.
    """

    line: int
    text: str | None = None
    expanded: bool = False


class Source:
    """A document on its way to settings, and what was found wrong with it so far.

    Args:
        name: where it comes from, in words.
        document: what YAML makes of it: mappings, lists and scalars.
        written: how each value stands in the file; empty where there is no file.
    """

    def __init__(self, name: str, document: object, written: Mapping[Path, Written] | None = None) -> None:
        self.name = name
        self.document = document
        self.written = {} if written is None else written
        self.faults: list[Fault] = []
        self._faulty: set[Path] = set()

    def fault(self, path: Path, message: str, line: int | None = None) -> None:
        """Record that the value at `path` is wrong; the line is that of the value unless told."""
        at = path
        while line is None and (written := self.written.get(at)) is None and at:
            at = at[:-1]
        if line is None and written is not None:
            line = written.line
        self.faults.append(Fault(self.name, line, path_text(path), message))
        self._faulty.update(path[:length] for length in range(len(path) + 1))

    def is_sound(self, path: Path) -> bool:
        """Whether nothing was found wrong at or below `path`."""
        return path not in self._faulty

    def keys(self, path: Path) -> list[str]:
        """The keys of the mapping at `path`, sound or not; none if there is no mapping."""
        value = self.document
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return [str(key) for key in value] if isinstance(value, Mapping) else []


def read_yaml(text: str, environ: Mapping[str, str], name: str) -> Source:
    """Parse YAML (1.1, safe types only) and fill in the environment.

    Keys are always text. A key that stands twice is a fault; aliases and merge keys work.
    """
    written: dict[Path, Written] = {}
    source = Source(name, None, written)
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is not None:
            source.document = _Builder(loader, environ, source, written).build(root, (), 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        source.fault((), f"this is not YAML: {error.problem or error.context}", mark.line + 1 if mark else None)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        source.fault((), f"this is not YAML: character U+{error.character:04X} is not allowed in it", line)
    except (_TooMuchError, RecursionError):
        source.fault((), f"this unfolds to more than {_MAX_VALUES} values or {_MAX_DEPTH} levels", 1)
    finally:
        if loader is not None:
            loader.dispose()
    return source


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Fill in `${NAME}` and `${NAME:-default}`; `$${` stands for a plain `${`, any other `$` for itself.

    The default counts where the variable is not set or empty, as in a shell. Raises `ValueError`, in words, naming
    each variable that is not set and has no default.
    """
    problems: list[str] = []

    def value(reference: re.Match[str]) -> str:
        if reference[0].startswith("$$"):
            return reference[0][1:]
        name, default = reference["name"], reference["default"]
        if name is None:
            problems.append("expected ${NAME} or ${NAME:-default}; a plain ${ is written $${")
            return ""
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            problems.append(f"environment variable {name} is not set (${{{name}:-}} would let it be empty)")
        return environ.get(name, "")

    expanded = _REFERENCE.sub(value, text)
    if problems:
        raise ValueError("; ".join(problems))
    return expanded


class _TooMuchError(Exception):
    """The document unfolds to more than is sensible."""


class _Builder:
    """Turns a tree of YAML nodes into plain values, noting how each is written."""

    def __init__(
        self, loader: yaml.SafeLoader, environ: Mapping[str, str], source: Source, written: dict[Path, Written]
    ) -> None:
        self._loader = loader
        self._environ = environ
        self._source = source
        self._written = written
        self._visits = 0

    def build(self, node: yaml.Node, path: Path, depth: int, line: int | None = None) -> object:
        """The value of `node`, which stands at `path`; `line` is its key's, if it has one."""
        self._count(depth)
        self._written[path] = Written(line or node.start_mark.line + 1)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in {f"{_TAG}map", f"{_TAG}seq"}:
            self._source.fault(path, f"expected no tag, got {node.tag}")
            return Invalid()
        if isinstance(node, yaml.MappingNode):
            entries = self._entries(node, path, depth)
            return {
                key: self.build(value, (*path, key), depth + 1, key_node.start_mark.line + 1)
                for key, (key_node, value) in entries.items()
            }
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _entries(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, tuple[yaml.ScalarNode, yaml.Node]]:
        """The mapping's own entries over those that it merges in (https://yaml.org/type/merge.html)."""
        own: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for key, value in node.value:
            self._count(depth)
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._source.fault(path, "expected a key of plain text", line)
            elif key.tag == f"{_TAG}merge":
                for parent in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(parent, yaml.MappingNode):
                        merged = self._entries(parent, path, depth + 1) | merged
                    else:
                        self._source.fault(path, "expected << to name a mapping or a list of mappings", line)
            elif key.value in own:
                first = own[key.value][0].start_mark.line + 1
                self._source.fault((*path, key.value), f"this key stands twice, first in line {first}", line)
            else:
                own[key.value] = (key, value)
        return merged | own

    def _scalar(self, node: yaml.Node, path: Path) -> object:
        line = self._written[path].line
        text = str(node.value)
        try:
            expanded = expand(text, self._environ)
            if "${" in text:
                self._written[path] = Written(line, text, expanded=True)
                return expanded
            self._written[path] = Written(line, text)
            return self._loader.construct_object(node)
        except yaml.constructor.ConstructorError as error:
            self._source.fault(path, f"{error.problem}")
        except ValueError as error:
            self._source.fault(path, str(error))
        return Invalid()

    def _count(self, depth: int) -> None:
        self._visits += 1
        if self._visits > _MAX_VALUES or depth > _MAX_DEPTH:
            raise _TooMuchError
