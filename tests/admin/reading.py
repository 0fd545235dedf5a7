"""Reads the admin's pages as somebody without JavaScript does: their rows, forms and links."""

from html.parser import HTMLParser

from tests.admin.conftest import AdminClient, csrf_of

Fields = list[tuple[str, str]]
HTML = {"Accept": "text/html"}


class Page(HTMLParser):
    """What a reader finds: table rows, forms with their fields, links, and all elements' names.

    Attributes:
        forms: by action, each form's fields as a browser would send them without a button.
        text: all words, with single spaces.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: dict[str, str] = {}
        self.forms: dict[str, list[Fields]] = {}
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._fields: Fields = []
        self._select = ""
        self._selected = False
        self._row = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = {name: value or "" for name, value in attrs}
        match tag:
            case "form":
                self._fields = []
                self.forms.setdefault(found["action"], []).append(self._fields)
            case "input" if found.get("type") not in {"checkbox", "radio"} or "checked" in found:
                self._fields.append((found["name"], found.get("value", "")))
            case "select":
                self._select = found["name"]
                self._fields.append((self._select, ""))
            case "option" if "selected" in found:
                self._fields.pop()
                self._selected = True
                if "value" in found:
                    self._fields.append((self._select, found["value"]))
                    self._selected = False
            case "a":
                self.links.append(found.get("href", ""))
            case "tr":
                self._row = found.get("data-model", "")
                self.rows.setdefault(self._row, "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._row = ""

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if not words:
            return
        self.text += f" {words}"
        if self._row:
            self.rows[self._row] += f" {words}"
        if self._selected:
            self._fields.append((self._select, words))
            self._selected = False

    def form(self, action: str) -> Fields:
        """The fields of the one form that leads to an address."""
        [fields] = self.forms[action]
        return fields


async def get(admin: AdminClient, path: str = "/admin/", status: int = 200) -> Page:
    """The page at a path."""
    async with admin.get(path, headers=HTML) as response:
        assert response.status == status
        return Page(await response.text())


async def press(admin: AdminClient, action: str, fields: Fields, button: str = "") -> tuple[int, Page]:
    """Send a form as a browser does, with the button of that name=value, and follow where it leads."""
    name, _, value = button.partition("=")
    data = [*fields, *([(name, value)] if button else [])]
    if "csrf" not in dict(data):
        data.append(("csrf", await csrf_of(admin)))
    async with admin.post(action, data=data, headers=HTML) as response:
        return response.status, Page(await response.text())
