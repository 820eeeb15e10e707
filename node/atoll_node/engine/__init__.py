"""Answer typed queries from one release: check, resolve, plan, emit, run. Raw aggregates stay at the node."""

from atoll_node.engine.connection import S3Access
from atoll_node.engine.engine import DuckDbEngine

__all__ = ["DuckDbEngine", "S3Access"]
