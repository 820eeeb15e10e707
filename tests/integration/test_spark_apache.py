"""The same plans on Apache Spark 4.0 with Delta and S3A (``make test-spark``): answers equal DuckDB's.

A few published definitions stand for the rest, which run on Sail in every test: each brings a construct that
Apache Spark and Sail treat differently. ``ATOLL_SPARK_DEFINITIONS=all`` runs every one.
"""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from atoll_node.engine import DuckDbEngine
from atoll_node.engine.connection import Stop
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.engine.spark.connection import SparkDatabase
from atoll_node.engine.spark.engine import SparkEngine
from atoll_node.engine.sql import Statement
from atoll_node.errors import EngineError
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression
from tests.support.apache_spark import running_spark
from tests.support.golden_questions import QUESTIONS
from tests.support.lake import release_of_files
from tests.support.minio import running_minio
from tests.support.s3_server import S3Server
from tests.support.same_aggregates import differences
from tests.support.shared_data import shared
from tests.support.spark_questions import question, small_release
from tests.support.spark_store import check_a_release_is_its_version

pytestmark = pytest.mark.spark
Rows = Counter[tuple[int, date, date]]
PATIENT = EngineSettings(seconds=600)
CHOSEN = ("27", "86", "726", "1054", "1071", "1318")
"""Nested criteria and fixed ends, limits, counts, drug eras, ties left to chance, many members."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_minio(tmp_path_factory.mktemp("minio") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory, store: S3Server) -> Iterator[SparkAccess]:
    with running_spark(tmp_path_factory.mktemp("spark"), store) as access:
        yield access


def test_the_pinned_files_on_an_s3_store_are_those_of_the_delta_version(
    spark: SparkAccess, store: S3Server, tmp_path: Path
) -> None:
    check_a_release_is_its_version(spark, store, tmp_path, PATIENT)


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_each_construct_of_the_language_is_answered_alike(
    name: str, spark: SparkAccess, tmp_path: Path
) -> None:
    release = small_release(tmp_path / "release")
    engines = DuckDbEngine(PATIENT, tmp_path), SparkEngine(PATIENT, tmp_path, spark)
    here, there = (engine.run(question(name), release, clock=time.monotonic) for engine in engines)
    assert differences(there, here, tolerance=0.0) == []


@pytest.mark.shared
def test_published_definitions_select_the_rows_that_duckdb_selects(
    spark: SparkAccess, tmp_path: Path
) -> None:
    cdm = release_of_files({file.stem: [file] for file in shared("circe/cdm").glob("*.parquet")})
    expected: dict[int, Rows] = defaultdict(Counter)
    table = pq.read_table(shared("circe/expected_cohorts.parquet"))
    for cohort, *row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        expected[cohort][row[0], row[1], row[2]] += 1
    here, there = DuckDbEngine(PATIENT, tmp_path), SparkEngine(PATIENT, tmp_path, spark)
    everything = os.environ.get("ATOLL_SPARK_DEFINITIONS") == "all"
    for file in sorted(shared("circe/definitions").glob("*.json")):
        if not (everything or file.stem in CHOSEN):
            continue
        expression = CohortExpression.from_json(file.read_text(encoding="utf-8"))
        found = Counter(there.cohort_rows(expression, cdm))
        same = found in (expected[int(file.stem)], Counter(here.cohort_rows(expression, cdm)))
        assert same, f"definition {file.stem} differs"


def test_a_query_ends_when_its_time_is_over(spark: SparkAccess, tmp_path: Path) -> None:
    database = SparkDatabase(small_release(tmp_path), spark, seconds=10)

    def endless() -> None:
        with database.session(Stop()) as run:
            run.run(Statement("CREATE TEMP VIEW many AS SELECT * FROM range(1000000)"))
            run.rows(Statement("SELECT count(*) AS n FROM many a, many b, many c"))

    with pytest.raises(EngineError) as caught:
        endless()
    assert caught.value.code == "engine.time"


def test_an_error_does_not_quote_what_it_met_nor_does_a_log(
    spark: SparkAccess, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with SparkDatabase(small_release(tmp_path), spark, 600).session(Stop()) as run:
        with pytest.raises(EngineError) as caught:
            run.rows(Statement("SELECT CAST('Erika Mustermann' AS INTEGER) AS a"))
        with pytest.raises(EngineError):
            run.rows(Statement("SELECT a.mustermann FROM range(3) a"))
    told = f"{caught.value} {caught.value.__cause__} {caught.value.next_step}{''.join(capfd.readouterr())}"
    assert caught.value.code == "engine.failed"
    assert "mustermann" not in told.lower()


def test_a_file_that_is_gone_fails_the_query(spark: SparkAccess, tmp_path: Path) -> None:
    gone = small_release(tmp_path / "release")
    next((tmp_path / "release").glob("person-*/*.parquet")).unlink()
    with pytest.raises(EngineError) as caught:
        SparkEngine(PATIENT, tmp_path, spark).run(question("everybody"), gone, clock=time.monotonic)
    assert caught.value.code == "engine.files"
