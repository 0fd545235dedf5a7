"""Incidents to practise on: a proxy of its own in front of providers made of straw, under load, with a story told."""

from proxy.rehearsal.cost import Cost, Phase
from proxy.rehearsal.outage import rehearse_outage

__all__ = ["Cost", "Phase", "rehearse_outage"]
