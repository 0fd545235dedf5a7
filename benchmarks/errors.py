"""What keeps a benchmark from running."""


class BenchmarkError(Exception):
    """Something foreseeable is missing or doesn't work; the message is one line that says what, and what to do."""


class MissingToolError(BenchmarkError):
    """A tool that one can do without is not installed; the run is whole all the same."""
