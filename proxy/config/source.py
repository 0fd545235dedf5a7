"""YAML text to a plain document that remembers its lines, with environment variables filled in."""

import re
from collections.abc import Hashable, Mapping

import yaml

from proxy.config.faults import Faults

# A file that aliases itself into more than this is not a config file.
_MAX_NODES = 200_000
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<broken>\$\{)")

Path = tuple[str, ...]


def read_yaml(text: str, environ: Mapping[str, str], faults: Faults) -> object:
    """The document in `text`; faults are collected, and what they concern is left out."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        return None if root is None else _Reader(loader, environ, faults).read(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        faults.add((), f"not valid YAML: {error.problem or error.context}", mark.line + 1 if mark else None)
    except yaml.YAMLError as error:
        faults.add((), f"not valid YAML: {error}")
    except RecursionError:
        faults.add((), "not usable: nested too deeply")
    finally:
        loader.dispose()
    return None


class _Reader:
    def __init__(self, loader: yaml.SafeLoader, environ: Mapping[str, str], faults: Faults) -> None:
        self._loader = loader
        self._environ = environ
        self._faults = faults
        self._nodes = 0

    def read(self, node: yaml.Node, path: Path) -> object:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise yaml.YAMLError("its aliases expand to too many values")
        line = node.start_mark.line + 1
        self._faults.lines.setdefault(path, line)
        match node:
            case yaml.MappingNode():
                return self._read_mapping(node, path)
            case yaml.SequenceNode():
                return [self.read(item, (*path, f"[{index}]")) for index, item in enumerate(node.value)]
        value = self._loader.construct_object(node)
        return self._expand(value, path, line) if isinstance(value, str) else value

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if key.value in seen:
                self._faults.add((*path, str(key.value)), "stands here twice", key.start_mark.line + 1)
            seen.add(key.value if isinstance(key.value, str) else None)
        self._loader.flatten_mapping(node)
        mapping = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._faults.add(path, "a key must be plain text", key.start_mark.line + 1)
                continue
            self._faults.lines[*path, key.value] = key.start_mark.line + 1
            mapping[key.value] = self.read(value, (*path, key.value))
        return mapping

    def _expand(self, text: str, path: Path, line: int) -> str:
        def value_of(match: re.Match[str]) -> str:
            if match[0] == "$$":
                return "$"
            if match["broken"]:
                self._faults.add(path, "`${` begins no variable: write ${NAME}, ${NAME:-default}, or $${", line)
                return ""
            found = self._environ.get(match["name"])
            if match["default"] is not None:
                return found or match["default"]
            if found is None:
                name = match["name"]
                self._faults.add(
                    path, f"the environment variable {name} is not set (${{{name}:-}} makes it optional)", line
                )
                return ""
            return found

        return _VARIABLE.sub(value_of, text)
