"""Providers made of straw, for the demo, the tests and for rehearsing incidents. Stands alone: no other room's code."""

from proxy.simulator.faults import Faults
from proxy.simulator.provider import StrawProvider
from proxy.simulator.seen import Counters, SeenRequest

__all__ = ["Counters", "Faults", "SeenRequest", "StrawProvider"]
