"""Reading what stands in a request's address."""

from typing import TypeVar
from urllib.parse import unquote

from aiohttp import web

from proxy.errors import InvalidRequestError

_MOST_DIGITS = 18

Usual = TypeVar("Usual", int, None)


def number(request: web.Request, name: str, usual: Usual, most: int | None = None) -> int | Usual:
    """A whole number from 1 on; raises `InvalidRequestError` if it is none, or above `most`."""
    if (text := request.query.get(name)) is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) >= 1):
        raise InvalidRequestError(f"{name}: expected a whole number from 1 on.", param=name)
    value = int(text)
    if most is not None and value > most:
        raise InvalidRequestError(f"{name}: expected {most} at most.", param=name)
    return value


def flag(request: web.Request, name: str) -> bool:
    """Something that is asked for or not; raises `InvalidRequestError` if that can't be told."""
    match request.query.get(name, "false").lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            raise InvalidRequestError(f"{name}: expected true or false.", param=name)


def model_in_path(request: web.Request) -> str:
    """The model's part of the raw path, decoded once.

    aiohttp's `match_info` keeps what is no UTF-8 as it stands, so that two paths could mean one name there.
    """
    resource = request.match_info.route.resource
    assert resource is not None  # noqa: S101 - only a route that matched has a handler
    before, _, behind = resource.canonical.partition("{model}")
    slashes = before.count("/")
    raw = request.rel_url.raw_path.split("/", slashes)[slashes].removesuffix(behind)
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequestError("The model's name in the path is not percent-encoded UTF-8.") from None
