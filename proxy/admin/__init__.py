"""The admin plane: the routes that are in force, and the means to switch them, as an API and as a page.

`app.py` wires. `guard.py` decides who may come in (`gate.py` knows who asks, `paths.py` what it takes), and `audit.py`
writes down what they do. `desk.py` does the work for the API (`api.py`) and the page (`pages.py`) alike, and
`payloads.py` says once what travels. `calls.py` is the table of the API's calls, of which the router, the guard and the
API's own description (`openapi.py`) are made.
"""

from proxy.admin.app import build_admin, build_metrics
from proxy.admin.live import add_live
from proxy.admin.payloads import Reloaded
from proxy.admin.shadow import add_shadows

__all__ = ["Reloaded", "add_live", "add_shadows", "build_admin", "build_metrics"]
