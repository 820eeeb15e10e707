"""Run plans on a Spark Connect engine: the statements of every engine, in Spark's words."""

from pathlib import Path

from atoll_node.engine.engine import Database, PlanEngine
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.engine.spark.connection import SparkDatabase
from atoll_node.release import Release
from atoll_node.settings import EngineSettings


class SparkEngine(PlanEngine):
    """Answers queries by statements at a Spark Connect endpoint; what grows with records stays there.

    One row per person of the cohort comes to the node, which needs it for the gate's ledger, and figures are
    computed from these rows as for every engine.
    """

    def __init__(self, settings: EngineSettings, scratch: Path, access: SparkAccess) -> None:
        super().__init__(settings, scratch)
        self._access = access

    def _database(self, release: Release) -> Database:
        return SparkDatabase(release, self._access, self._settings.seconds)
