"""Run what the consortium runs: nodes, catalog, governance, queries, audit."""

__version__ = "0.1.0"
