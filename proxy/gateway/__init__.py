"""The data plane: takes a client's request, finds out where it goes, and relays the answer."""

from proxy.gateway.handler import Gateway

__all__ = ["Gateway"]
