"""Run plans on a Spark Connect engine: the statements of every engine, in Spark's words."""

from pathlib import Path

from atoll_node.engine.connection import Stop
from atoll_node.engine.engine import PlanEngine
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.engine.spark.connection import SparkDatabase, SparkRun
from atoll_node.engine.sql import Statement
from atoll_node.errors import EngineError
from atoll_node.release import Release
from atoll_node.settings import EngineSettings


class SparkEngine(PlanEngine[SparkRun]):
    """Answers queries by statements at a Spark Connect endpoint; what grows with records stays there.

    One row per person of the cohort comes to the node, which needs it for the gate's ledger, and figures are
    computed from these rows as for every engine.
    """

    def __init__(self, settings: EngineSettings, scratch: Path, access: SparkAccess) -> None:
        super().__init__(settings, scratch)
        self._access = access

    def _database(self, release: Release) -> SparkDatabase:
        return SparkDatabase(release, self._access, self._settings.seconds)


def examine(access: SparkAccess, release: Release | None, seconds: float) -> None:
    """Raise ``EngineError`` unless the endpoint answers, keeps rows, and reads a release's smallest table."""
    filled = () if release is None else tuple(table for table in release.tables if table.rows)
    smallest = sorted(filled, key=lambda table: table.rows)[:1]
    with SparkDatabase(release, access, seconds).session(Stop()) as run:
        run.run(Statement("CREATE TEMP TABLE kept AS SELECT 1 AS one"))
        if run.rows(Statement("SELECT one FROM kept")) != [(1,)]:
            raise EngineError("engine.spark_checkpoint", "the Spark Connect endpoint keeps no rows")
        run.require(frozenset(table.name for table in smallest))
