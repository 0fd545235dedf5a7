"""A route shifts, under constant load, to an endpoint that is sick or falls ill on the way."""
