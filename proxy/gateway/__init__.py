"""The data plane: takes a client's request, finds out where it goes, and relays the answer."""

from proxy.gateway.application import Application
from proxy.gateway.connections import Handler
from proxy.gateway.discovery import Discovery
from proxy.gateway.handler import Gateway
from proxy.gateway.listener import Listener
from proxy.gateway.targets import Attempts

__all__ = ["Application", "Attempts", "Discovery", "Gateway", "Handler", "Listener"]
