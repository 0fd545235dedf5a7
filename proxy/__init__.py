"""Pointsman: a reverse proxy for LLM traffic whose routes are switched while requests run."""

__version__ = "0.1.0"
