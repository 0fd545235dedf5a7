"""The routing core: model -> resolution. Pure: no I/O, no event loop, no clock.

`ConfigRoutingTable` holds what the config file says; `DynamicRoutingTable` wraps it, or any other table, and layers the
routes on top that are switched while the proxy runs.
"""

from proxy.config.settings import RouteStrategy
from proxy.errors import InvalidRequestError, UnknownModelError
from proxy.routing.changes import (
    Action,
    Cause,
    Change,
    Draft,
    DrainEdit,
    ForgottenRevisionError,
    History,
    RouteEdit,
    StaleRevisionError,
)
from proxy.routing.config_table import ConfigRoutingTable
from proxy.routing.drains import Drain, Drains, asked_providers
from proxy.routing.dynamic_table import DynamicRoutingTable
from proxy.routing.resolution import USUAL_OPTIONS, Resolution, RouteSource, RoutingTarget
from proxy.routing.shift import compared, resumed, shifted, stepped, taken_back
from proxy.routing.tables import AdminRoutingTable, DescribedTable, ModelRegistry, RoutingTable
from proxy.routing.types import (
    ALWAYS_USABLE,
    Affinity,
    Conditions,
    DynamicRoute,
    Expiry,
    ModelEntry,
    RouteEndpoint,
    RouteEntry,
    RouteView,
    Shift,
    ShiftGuard,
)

__all__ = [
    "ALWAYS_USABLE",
    "USUAL_OPTIONS",
    "Action",
    "AdminRoutingTable",
    "Affinity",
    "Cause",
    "Change",
    "Conditions",
    "ConfigRoutingTable",
    "DescribedTable",
    "Draft",
    "Drain",
    "DrainEdit",
    "Drains",
    "DynamicRoute",
    "DynamicRoutingTable",
    "Expiry",
    "ForgottenRevisionError",
    "History",
    "InvalidRequestError",
    "ModelEntry",
    "ModelRegistry",
    "Resolution",
    "RouteEdit",
    "RouteEndpoint",
    "RouteEntry",
    "RouteSource",
    "RouteStrategy",
    "RouteView",
    "RoutingTable",
    "RoutingTarget",
    "Shift",
    "ShiftGuard",
    "StaleRevisionError",
    "UnknownModelError",
    "asked_providers",
    "compared",
    "resumed",
    "shifted",
    "stepped",
    "taken_back",
]
