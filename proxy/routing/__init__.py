"""The routing core: model -> resolution. Pure: no I/O, no event loop, no clock.

`ConfigRoutingTable` holds what the config file says; `DynamicRoutingTable` wraps it, or any other table, and layers the
routes on top that are switched while the proxy runs.
"""

from proxy.config.settings import RouteStrategy
from proxy.errors import InvalidRequestError, UnknownModelError
from proxy.routing.config_table import ConfigRoutingTable
from proxy.routing.dynamic_table import DynamicRoutingTable
from proxy.routing.types import (
    ALWAYS_USABLE,
    USUAL_OPTIONS,
    AdminRoutingTable,
    Affinity,
    Conditions,
    DescribedTable,
    DynamicRoute,
    ModelEntry,
    ModelRegistry,
    Resolution,
    RouteEndpoint,
    RouteEntry,
    RouteSource,
    RouteView,
    RoutingTable,
    RoutingTarget,
)

__all__ = [
    "ALWAYS_USABLE",
    "USUAL_OPTIONS",
    "AdminRoutingTable",
    "Affinity",
    "Conditions",
    "ConfigRoutingTable",
    "DescribedTable",
    "DynamicRoute",
    "DynamicRoutingTable",
    "InvalidRequestError",
    "ModelEntry",
    "ModelRegistry",
    "Resolution",
    "RouteEndpoint",
    "RouteEntry",
    "RouteSource",
    "RouteStrategy",
    "RouteView",
    "RoutingTable",
    "RoutingTarget",
    "UnknownModelError",
]
