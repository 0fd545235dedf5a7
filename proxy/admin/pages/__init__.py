"""The pages: HTML that works without JavaScript; its forms do what the API does, by the same desk.

One module a page. Whatever changes something is a sheet of its own below `/admin/desk/`, which shows what would come
of it before its one confirming button; with JavaScript (`static/`) sheets open as dialogs over the page they belong
to, and figures are live. A change that is accepted leads back to a page (303), so that reloading changes nothing.
"""

from proxy.admin.pages import help_page, history, providers, requests, revert, routes, shift, swap, theme
from proxy.admin.paths import Paths


def add_pages(viewers: Paths, operators: Paths) -> None:
    """Every page's paths."""
    viewers.add_get("", routes.to_page)
    viewers.add_get("/", routes.show, name="page")
    operators.add_get("/desk/swap", swap.show, name="swap")
    operators.add_form("/desk/swap", swap.answer)
    operators.add_get("/desk/revert", revert.show, name="revert")
    operators.add_form("/desk/revert", revert.answer)
    operators.add_form("/desk/shift", shift.answer, name="shift")
    viewers.add_get("/desk/providers", providers.show, name="providers")
    operators.add_get("/desk/drain", providers.show_drain, name="drain")
    operators.add_form("/desk/drain", providers.drain)
    operators.add_get("/desk/restore", providers.show_restore, name="restore")
    operators.add_form("/desk/restore", providers.restore)
    viewers.add_get("/desk/history", history.show, name="history")
    operators.add_get("/desk/rollback", history.show_rollback, name="rollback")
    operators.add_form("/desk/rollback", history.rollback)
    viewers.add_get("/desk/requests", requests.show, name="requests")
    viewers.add_get("/desk/help", help_page.show, name="help")
    viewers.add_form("/desk/theme", theme.choose, name="theme")
