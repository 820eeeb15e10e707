"""Evaluate planned cohorts over columns: the second emission of the compiler, for many cohorts at once.

DuckDB reads each table once for the whole batch (``scans``). The rest is arithmetic on sorted arrays of
whole numbers: a person is a row number, a day is a number, and ``person << 24 | day`` orders both.
"""
