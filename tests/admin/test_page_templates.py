"""The pages' templates are compiled once, as Python's modules are."""

import sys
from pathlib import Path

import aiohttp_jinja2
import jinja2
import pytest
from aiohttp import web

from proxy.admin.page_templates import load_templates


@pytest.fixture(autouse=True)
def _writing_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with one template."""
    (tmp_path / "page.html").write_text("{{ who }} drives")
    return tmp_path


def rendered(directory: Path) -> str:
    """What a program that starts now makes of the template."""
    app = web.Application()
    load_templates(app, directory)
    return aiohttp_jinja2.get_env(app).get_template("page.html").render(who="<Ann>")


def test_a_second_start_compiles_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds what the first left behind."""
    first = rendered(directory)

    def compile_nothing(*_: object, **__: object) -> None:
        pytest.fail("a template was compiled")

    monkeypatch.setattr(jinja2.Environment, "compile", compile_nothing)
    assert rendered(directory) == first == "&lt;Ann&gt; drives"


def test_a_changed_template_is_compiled_anew(directory: Path) -> None:
    """What is kept belongs to one source."""
    rendered(directory)
    (directory / "page.html").write_text("{{ who }} walks")
    assert rendered(directory) == "&lt;Ann&gt; walks"
    assert len(list((directory / "__pycache__").iterdir())) == 1


def test_nothing_is_kept_where_nothing_can_be_written(directory: Path) -> None:
    """The program starts all the same."""
    (directory / "__pycache__").symlink_to(directory / "nowhere")
    assert rendered(directory) == "&lt;Ann&gt; drives"


def test_nothing_is_kept_where_python_is_told_so(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for its own modules: `python -B`, `PYTHONDONTWRITEBYTECODE`."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    rendered(directory)
    assert not (directory / "__pycache__").exists()
