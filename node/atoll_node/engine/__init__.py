"""Answer typed queries from one release: check, resolve, plan, emit, run. Raw aggregates stay at the node."""

from atoll_node.engine.choice import ChosenEngine
from atoll_node.engine.connection import S3Access
from atoll_node.engine.engine import DuckDbEngine
from atoll_node.engine.spark.access import SparkAccess

__all__ = ["ChosenEngine", "DuckDbEngine", "S3Access", "SparkAccess"]
