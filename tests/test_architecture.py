"""The structure that docs/architecture.md draws: imports run downwards only, rooms stay small."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "proxy").rglob("*.py"))

# What each room may import of the others.
BELOW = {
    "errors": set(),
    "deadline": set(),
    "outbox": set(),
    "config": {"errors"},
    "routing": {"config", "errors"},
    "wire": {"errors"},
    "telemetry": {"routing", "wire", "config", "errors"},
    "upstream": {"routing", "wire", "config", "errors", "deadline", "outbox"},
    "gateway": {"upstream", "telemetry", "routing", "wire", "config", "errors", "deadline", "outbox"},
    "admin": {"telemetry", "upstream", "routing", "wire", "config", "errors"},
    "simulator": set(),
    "memory": set(),
    "reload": {"admin", "upstream", "routing", "config"},
    "app": {"memory", "reload", "gateway", "admin", "upstream", "telemetry", "routing", "config"},
    "demo": {"app", "simulator", "telemetry", "config"},
    "rehearsal": {"app", "demo", "admin", "simulator", "wire"},
    "cli": {"app", "demo", "rehearsal", "admin", "upstream", "telemetry", "routing", "config", "errors"},
    "__init__": set(),
    "__main__": {"cli"},
}
PURE = {"routing", "wire", "config", "errors"}
WITH_IO = {"aiohttp", "asyncio", "socket", "ssl", "threading", "uvloop"}
# A lock keeps two threads' changes apart; a CA bundle is read once, to see whether it is one.
ALLOWED_IN_PURE = {"routing": {"threading"}, "config": {"ssl"}}


HOOKS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
COMPILED = [ROOT / name for name in HOOKS["mypyc"]["include"]]


def imports(module: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: a relative import hides its room"
            yield (name := node.module or "")
            if name == "proxy":
                yield from (f"proxy.{alias.name}" for alias in node.names)


def room_of(module: Path) -> str:
    return module.relative_to(ROOT / "proxy").parts[0].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_imports_run_downwards(module: Path) -> None:
    """A room imports only rooms below it; the pure ones know neither sockets nor event loops."""
    room = room_of(module)
    for name in imports(module):
        parts = name.split(".")
        if parts[0] == "proxy" and len(parts) > 1 and parts[1] not in {room, "__version__"}:
            assert parts[1] in BELOW[room], f"{room} imports {name}"
        if room in PURE:
            assert parts[0] not in WITH_IO - ALLOWED_IN_PURE.get(room, set()), f"{room} imports {name}"


def test_the_rule_itself_has_a_bottom() -> None:
    """What may import what has no circle, says something of every room, and keeps the two planes apart."""
    TopologicalSorter(BELOW).prepare()

    assert {room_of(module) for module in MODULES} == set(BELOW)
    assert "admin" not in BELOW["gateway"]
    assert "gateway" not in BELOW["admin"]


def test_no_server_asks_by_aiohttps_client() -> None:
    """`serve` imports it in a way that leaves it without authorities (`cli/server_import.py`)."""
    modules = [module for module in MODULES if room_of(module) not in {"cli", "rehearsal", "demo", "simulator"}]

    assert not [module for module in modules if "ClientSession" in module.read_text()]


def test_the_simulator_stands_alone() -> None:
    """Providers made of straw need aiohttp and msgspec, and nothing else of what is installed or of this project."""
    modules = [module for module in MODULES if room_of(module) == "simulator"]
    outside = {name.split(".")[0] for module in modules for name in imports(module)} - sys.stdlib_module_names

    assert outside == {"aiohttp", "msgspec", "proxy"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_modules_stay_small_and_say_what_they_are(module: Path) -> None:
    """Every module begins with what it is for and fits into one reading."""
    text = module.read_text()

    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 300


@pytest.mark.parametrize("module", COMPILED, ids=lambda module: str(module.relative_to(ROOT)))
def test_what_is_compiled_does_nothing_that_a_compiler_makes_something_else_of(module: Path) -> None:
    """See docs/architecture.md: mypyc takes all of it, and some of it comes out otherwise."""
    tree = ast.parse(module.read_text())
    tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    aside = [statement for node in tries for statement in (*node.handlers, *node.finalbody)]
    waits = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield, ast.YieldFrom)
    assert not [node.lineno for each in aside for node in ast.walk(each) if isinstance(node, waits)]

    for each in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        bases = {ast.unparse(base).rpartition(".")[2] for base in each.bases}
        assert not (each.keywords and "Struct" in bases), f"{each.name} loses {ast.unparse(each.keywords[0])}"
        values = [node for node in each.body if isinstance(node, ast.Assign)]
        assert not (values and any(base.endswith("Error") for base in bases)), f"{each.name} loses its values"


def test_what_tests_lower_is_no_constant_where_it_is_compiled() -> None:
    """A `Final` is written into the code that uses it: a test that replaces it would change nothing, and wait."""
    replaced = {
        str(node.args[-2].value).rpartition(".")[2]
        for module in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "monkeypatch.setattr"
        if isinstance(node.args[-2], ast.Constant)
    }
    assert "_KEEPALIVE_S" in replaced
    constants = {
        ast.unparse(node.target)
        for module in COMPILED
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).startswith("Final")
    }
    assert not replaced & constants
