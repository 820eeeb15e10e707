"""Choose the engine of a release: DuckDB in the node's process, or a Spark Connect endpoint.

Spark's client is an extra, which a node that does not use it never imports.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from atoll_node.engine.checking import require_tables
from atoll_node.engine.connection import S3Access
from atoll_node.engine.engine import DuckDbEngine, PlanEngine
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.errors import EngineError
from atoll_node.raw import RawAggregate
from atoll_node.release import Release
from atoll_node.settings import EngineSettings, NodeSettings
from atoll_schemas.query import Query


def is_for_spark(release: Release, settings: NodeSettings) -> bool:
    """Whether a release is asked at the Spark Connect endpoint."""
    if settings.engine.kind == "by_size" and settings.spark is not None:
        return sum(table.rows for table in release.tables) >= settings.spark.rows
    return settings.engine.kind == "spark"


def spark_engine(settings: EngineSettings, scratch: Path, access: SparkAccess) -> PlanEngine[Any]:
    """Return the engine at an endpoint. Raises ``EngineError`` that names the extra which is missing."""
    engine: PlanEngine[Any] = _adapter().SparkEngine(settings, scratch, access)
    return engine


def examine_spark(access: SparkAccess, release: Release | None, seconds: float) -> None:
    """Raise ``EngineError`` unless the endpoint can run plans over the release."""
    _adapter().examine(access, release, seconds)


def _adapter() -> ModuleType:
    try:
        return import_module("atoll_node.engine.spark.engine")
    except ImportError:
        raise EngineError(
            "engine.spark_extra",
            "the engine is Spark, and its client is not installed",
            "run: pip install 'atoll-node[spark]'",
        ) from None


class ChosenEngine:
    """Answers each query with the engine that its release is for."""

    def __init__(
        self,
        settings: NodeSettings,
        scratch: Path,
        s3: S3Access | None = None,
        spark: SparkAccess | None = None,
    ) -> None:
        self._settings = settings
        self._duckdb = DuckDbEngine(settings.engine, scratch, s3)
        self._spark = None if spark is None else spark_engine(settings.engine, scratch, spark)

    def run(
        self,
        query: Query,
        release: Release,
        *,
        clock: Callable[[], float],
        stoppable: Callable[[Callable[[], None]], None] | None = None,
    ) -> RawAggregate:
        """Run a query of the hub's: on a release that has all tables it looks at, or not at all.

        ``clock`` counts seconds. Raises ``MissingTable`` or another ``EngineError``.
        """
        require_tables(query, release)
        return self._of(release).run(query, release, clock=clock, stoppable=stoppable)

    def explain(self, query: Query, release: Release) -> str:
        """Return which engine runs the query, and what it is told, with placeholders for every value.

        Raises ``MissingTable`` or another ``EngineError`` where ``run`` would refuse the query.
        """
        require_tables(query, release)
        engine = self._of(release)
        name = "Spark Connect" if engine is self._spark else "DuckDB"
        return f"-- engine: {name}\n\n{engine.explain(query, release)}"

    def close(self) -> None:
        """Close every release."""
        self._duckdb.close()
        if self._spark is not None:
            self._spark.close()

    def _of(self, release: Release) -> PlanEngine[Any]:
        if self._spark is not None and is_for_spark(release, self._settings):
            return self._spark
        return self._duckdb
