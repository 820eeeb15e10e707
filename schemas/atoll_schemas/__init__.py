"""State the contracts that hub, node and SDK meet in: pure data, no I/O.

Only pydantic and the standard library are imported below this package (law 1 of the house).
"""

__version__ = "0.1.0"
