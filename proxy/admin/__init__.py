"""The admin plane: the routes that are in force, and the means to switch them, as an API and as a page.

`app.py` wires. `access/` decides who may come in (`paths.py` says what each path takes) and writes down what they do.
`desk.py` tells what is, and `changes/` changes it, for the API (`api/`) and the page (`pages/`) alike; `payloads.py`
says once what travels. `api/calls.py` is the table of the API's calls, of which the router, the guard and the API's own
description are made.
"""

from proxy.admin.api.live import add_live
from proxy.admin.api.shadow import add_shadows
from proxy.admin.app import build_admin, build_metrics
from proxy.admin.payloads import Reloaded

__all__ = ["Reloaded", "add_live", "add_shadows", "build_admin", "build_metrics"]
