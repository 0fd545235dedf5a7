"""The fault matrix: everything that can go wrong at a provider, and what a client makes of it.

`table.py` says what is expected, `test_matrix.py` compares it with what happens, and `python -m tests.faults` writes what
happens into docs/failures.md.
"""
