"""YAML and environment -> typed settings."""
