"""The pages' templates: all of them read and compiled before the first request."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import aiohttp_jinja2
import jinja2
from aiohttp import web
from jinja2.bccache import Bucket

from proxy import __version__
from proxy.admin.pages import words
from proxy.admin.pages.shares import shares

_FILTERS = (words.ago, words.ahead, words.span, words.rate, words.share, words.millis)


class _Options(TypedDict):
    """What bytecode depends on."""

    autoescape: bool
    trim_blocks: bool
    lstrip_blocks: bool


_OPTIONS: _Options = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True}


class _Bytecode(jinja2.FileSystemBytecodeCache):
    """Compiled templates beside their sources, as Python keeps its modules: compiling takes a quarter of the start.

    As there, what has changed is compiled anew, and nothing is written where that can't or shan't be.

    Args:
        directory: the sources'.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory / "__pycache__"), f"%s.{sys.implementation.cache_tag}.jinja")

    def get_source_checksum(self, source: str) -> str:
        """Tell apart all that bytecode for one interpreter is made of: the source, by whom and how it is compiled."""
        return super().get_source_checksum(f"{jinja2.__version__} {__version__} {_OPTIONS} {source}")

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a compiled template."""
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                Path(self.directory).mkdir(exist_ok=True)
                super().dump_bytecode(bucket)


def load_templates(app: web.Application, directory: Path) -> None:
    """Read and compile every template of a directory now: nothing is read from disk while requests wait."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(directory),
        bytecode_cache=_Bytecode(directory),
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        **_OPTIONS,
    )
    environment.filters.update({each.__name__: each for each in _FILTERS})
    environment.filters["shares"] = lambda route: shares(route.strategy, route.endpoints)
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)
