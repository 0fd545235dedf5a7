"""The admin API: its calls, and how they describe themselves."""
