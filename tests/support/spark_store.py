"""Ask a Spark Connect endpoint about a lake on an S3 store, by the pinned files and by the Delta version."""

import time
from pathlib import Path

from atoll_node.engine.connection import Stop
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.engine.spark.connection import SparkDatabase, connected
from atoll_node.engine.spark.engine import SparkEngine
from atoll_node.engine.sql import Statement
from atoll_node.settings import EngineSettings
from tests.support.hospital import hospital, small_export
from tests.support.s3_server import S3Server
from tests.support.spark_questions import question

PERSONS, LATER = 40, 12
FIGURES = "count(*)", "sum(value_as_number)"


def check_a_release_is_its_version(
    access: SparkAccess, store: S3Server, folder: Path, settings: EngineSettings
) -> None:
    """Release 40 persons, let 12 replace them, and compare both ways of reading the older version."""
    site = hospital(folder / "node", store=store.store(folder / "secrets", prefix="lake"))
    site.export(small_export(persons=PERSONS))
    site.ingest()
    frozen = site.release()
    site.export(small_export(persons=LATER))
    site.ingest()
    table = frozen.table("measurement")
    assert table is not None
    engine = SparkEngine(settings, folder / "scratch", access)
    answer = engine.run(question("everybody", dataset="lab"), frozen, clock=time.monotonic)
    assert answer.analysis.persons == PERSONS
    with SparkDatabase(frozen, access, settings.seconds).session(Stop()) as run:
        run.require(frozenset({"measurement"}))
        counted = run.rows(Statement("SELECT count(*) AS n, sum(value_as_number) AS total FROM measurement"))
    versioned = connected(access).read.format("delta").option("versionAsOf", table.version)
    same = versioned.load(table.uri.replace("s3://", f"{access.s3_scheme}://")).selectExpr(*FIGURES)
    assert counted == [(3 * PERSONS, PERSONS * (10.5 + 11.5 + 12.5))]
    assert [tuple(row) for row in same.collect()] == counted
