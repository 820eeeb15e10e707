"""Run one hospital's node: sources to Delta tables to releases; tasks to cleared answers."""

__version__ = "0.1.0"
