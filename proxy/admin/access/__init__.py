"""Who may come in, as whom, and what is written down of it."""
