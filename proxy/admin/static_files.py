"""The page's style sheet and pictures, read once: nothing is read from disk while requests wait."""

import hashlib
import mimetypes
from pathlib import Path
from typing import NamedTuple

from aiohttp import web


class _File(NamedTuple):
    body: bytes
    content_type: str
    etag: str


class StaticFiles:
    """Answers with the files of one directory.

    Args:
        directory: all its files are served, none of its subdirectories.
    """

    def __init__(self, directory: Path) -> None:
        self._files = {path.name: _read(path) for path in directory.iterdir() if path.is_file()}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer with the file that the path names; raises `HTTPNotFound` if there is none."""
        if (file := self._files.get(request.match_info["filename"])) is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "no-cache", "ETag": f'"{file.etag}"'}
        known = request.if_none_match or ()
        if any(etag.value in {file.etag, "*"} for etag in known):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, content_type=file.content_type, headers=headers)


def _read(path: Path) -> _File:
    body = path.read_bytes()
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(body, content_type, hashlib.sha256(body).hexdigest()[:16])
