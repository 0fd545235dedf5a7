"""The fields of a form, as the pages read them."""

from aiohttp import web

from proxy.admin.access.forms import read_form


class Fields:
    """A form's fields in the order in which they came; a name may repeat."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def all(self, name: str) -> list[str]:
        """Every value of a name."""
        return [value for each, value in self._pairs if each == name]

    def text(self, name: str) -> str:
        """The first value of a name; "" without one."""
        return next(iter(self.all(name)), "")

    def number(self, name: str) -> int | None:
        """The first value of a name as a whole number; None if it is none."""
        value = self.text(name)
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None


async def fields_of(request: web.Request) -> Fields:
    """The fields of the form that was sent; raises `InvalidRequestError` if it can't be read."""
    return Fields(await read_form(request))
