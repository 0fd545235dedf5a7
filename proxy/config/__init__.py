"""Settings, what is public knowledge of providers, and how a file or the environment becomes settings."""

from proxy.config.access import Admin, NamedToken, Role, hash_token
from proxy.config.address import Address
from proxy.config.current import Changes, Current, changes, in_force
from proxy.config.describe import describe_settings
from proxy.config.faults import ConfigError, Fault
from proxy.config.known import KNOWN_PROVIDERS
from proxy.config.load import find_config, load_settings, parse_settings, settings_from
from proxy.config.secret import Secret
from proxy.config.settings import (
    AccessLog,
    AuthStyle,
    Delivery,
    Endpoint,
    EndpointOverrides,
    HedgeAfter,
    Limits,
    Model,
    ProtocolSettings,
    Provider,
    RouteOptions,
    RouteStrategy,
    Server,
    Settings,
    Shadow,
    Timeouts,
    Tracing,
)
from proxy.errors import Protocol

__all__ = [
    "KNOWN_PROVIDERS",
    "AccessLog",
    "Address",
    "Admin",
    "AuthStyle",
    "Changes",
    "ConfigError",
    "Current",
    "Delivery",
    "Endpoint",
    "EndpointOverrides",
    "Fault",
    "HedgeAfter",
    "Limits",
    "Model",
    "NamedToken",
    "Protocol",
    "ProtocolSettings",
    "Provider",
    "Role",
    "RouteOptions",
    "RouteStrategy",
    "Secret",
    "Server",
    "Settings",
    "Shadow",
    "Timeouts",
    "Tracing",
    "changes",
    "describe_settings",
    "find_config",
    "hash_token",
    "in_force",
    "load_settings",
    "parse_settings",
    "settings_from",
]
