"""Plans run on Sail, a real Spark Connect engine: published cohorts, a store, limits, and what it is told.

Of the published definitions every third is run; ``ATOLL_SAIL_DEFINITIONS=all`` runs all 300.
"""

import logging
import math
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from atoll_node.engine import ChosenEngine, DuckDbEngine
from atoll_node.engine.connection import Stop
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.engine.spark.connection import SparkDatabase
from atoll_node.engine.spark.engine import SparkEngine
from atoll_node.engine.sql import Statement
from atoll_node.errors import EngineError
from atoll_node.release import Release
from atoll_node.settings import EngineSettings, NodeSettings, SparkSettings
from atoll_schemas.circe import CohortExpression
from tests.support.golden_questions import QUESTIONS
from tests.support.lake import release_of, release_of_files
from tests.support.lake_node import make_node
from tests.support.minio import running_minio
from tests.support.sail import running_sail
from tests.support.same_aggregates import differences
from tests.support.shared_data import shared
from tests.support.spark_questions import question, small_release
from tests.support.spark_store import check_a_release_is_its_version

Rows = Counter[tuple[int, date, date]]
ENDLESS = "SELECT count(*) AS n FROM {0} a, {0} b, {0} c, {0} d, {0} e"


@pytest.fixture(scope="module")
def sail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkAccess]:
    with running_sail(tmp_path_factory.mktemp("sail")) as access:
        yield access


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release(tmp_path_factory.mktemp("release"))


def failure(work: Callable[[], object]) -> EngineError:
    with pytest.raises(EngineError) as caught:
        work()
    return caught.value


@pytest.mark.shared
@pytest.mark.slow
def test_published_definitions_select_the_rows_that_duckdb_selects(sail: SparkAccess, tmp_path: Path) -> None:
    """DuckDB's rows are the published ones (test_engine_circe_conformance), but for one left to chance."""
    cdm = release_of_files({file.stem: [file] for file in shared("circe/cdm").glob("*.parquet")})
    expected: dict[int, Rows] = defaultdict(Counter)
    table = pq.read_table(shared("circe/expected_cohorts.parquet"))
    for cohort, *row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        expected[cohort][row[0], row[1], row[2]] += 1
    settings = EngineSettings(seconds=300)
    here, there = DuckDbEngine(settings, tmp_path), SparkEngine(settings, tmp_path, sail)
    differing = []
    files = sorted(shared("circe/definitions").glob("*.json"))
    assert len(files) == 300
    for file in files if os.environ.get("ATOLL_SAIL_DEFINITIONS") == "all" else files[::3]:
        expression = CohortExpression.from_json(file.read_text(encoding="utf-8"))
        found = Counter(there.cohort_rows(expression, cdm))
        if found != expected[int(file.stem)] and found != Counter(here.cohort_rows(expression, cdm)):
            differing.append(file.stem)
    assert differing == []


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_each_construct_of_the_language_is_answered_alike(
    name: str, sail: SparkAccess, release: Release, tmp_path: Path
) -> None:
    engines = DuckDbEngine(EngineSettings(), tmp_path), SparkEngine(EngineSettings(), tmp_path, sail)
    here, there = (engine.run(question(name), release, clock=time.monotonic) for engine in engines)
    assert differences(there, here, tolerance=0.0) == []


ODD = (math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, 1e308, 1.0, None)


@pytest.mark.parametrize("op", ["lt", "lte", "eq", "!eq", "gt", "gte", "bt", "!bt"])
@pytest.mark.parametrize("bound", [0, 9e15])
def test_numbers_that_are_none_or_have_no_end_are_compared_as_duckdb_compares_them(
    op: str, bound: float, sail: SparkAccess, tmp_path: Path
) -> None:
    day = date(2020, 1, 1)
    people = range(1, len(ODD) + 1)
    release = release_of(
        {
            "person": [{"person_id": n, "gender_concept_id": 8507, "year_of_birth": 1950} for n in people],
            "observation_period": [
                {
                    "observation_period_id": n,
                    "person_id": n,
                    "observation_period_start_date": day,
                    "observation_period_end_date": date(2021, 1, 1),
                }
                for n in people
            ],
            "measurement": [
                {
                    "measurement_id": n,
                    "person_id": n,
                    "measurement_concept_id": 1,
                    "measurement_date": day,
                    "value_as_number": ODD[n - 1],
                }
                for n in people
            ],
        },
        tmp_path,
    )
    ranged = {"Value": bound, "Op": op, **({"Extent": bound + 1} if "bt" in op else {})}
    content = {"PrimaryCriteria": {"CriteriaList": [{"Measurement": {"ValueAsNumber": ranged}}]}}
    expression = CohortExpression.from_json(content)
    here = DuckDbEngine(EngineSettings(), tmp_path).cohort_rows(expression, release)
    assert SparkEngine(EngineSettings(), tmp_path, sail).cohort_rows(expression, release) == here


def test_a_lake_on_an_s3_store_is_read_with_the_endpoints_own_keys(tmp_path: Path) -> None:
    with running_minio(tmp_path / "minio") as store, running_sail(tmp_path / "sail", store) as access:
        check_a_release_is_its_version(access, store, tmp_path, EngineSettings())


def test_a_query_ends_when_its_time_is_over(sail: SparkAccess, release: Release) -> None:
    database = SparkDatabase(release, sail, seconds=1.0)
    started = time.monotonic()
    assert failure(lambda: endless(database, Stop())).code == "engine.time"
    assert time.monotonic() - started < 30


def test_a_query_is_stopped_from_another_thread(sail: SparkAccess, release: Release) -> None:
    stop = Stop()
    timer = threading.Timer(1.0, stop.now, (EngineError("engine.stopped", "the query was stopped"),))
    timer.start()
    assert failure(lambda: endless(SparkDatabase(release, sail, 60), stop)).code == "engine.stopped"


def endless(database: SparkDatabase, stop: Stop) -> None:
    with database.session(stop) as run:
        run.run(Statement("CREATE TEMP VIEW many AS SELECT * FROM range(1000000)"))
        run.rows(Statement(ENDLESS.format("many")))


def test_an_endpoint_that_is_away_is_named(release: Release, tmp_path: Path) -> None:
    engine = SparkEngine(EngineSettings(), tmp_path, SparkAccess("127.0.0.1:9"))
    error = failure(lambda: engine.run(question("everybody"), release, clock=time.monotonic))
    assert error.code == "engine.spark_away"
    assert "spark.address" in (error.next_step or "")


def test_a_file_that_is_gone_fails_the_query_before_it_runs(sail: SparkAccess, tmp_path: Path) -> None:
    gone = small_release(tmp_path / "release")
    next((tmp_path / "release").glob("person-*/*.parquet")).unlink()
    engine = SparkEngine(EngineSettings(), tmp_path / "scratch", sail)
    assert (
        failure(lambda: engine.run(question("everybody"), gone, clock=time.monotonic)).code == "engine.files"
    )


def test_a_file_that_goes_while_a_query_runs_fails_it_after_all(sail: SparkAccess, tmp_path: Path) -> None:
    """Sail itself says nothing: it answers from the files that are left."""
    going = small_release(tmp_path / "release")

    def counted_while_it_goes() -> None:
        with SparkDatabase(going, sail, 60).session(Stop()) as run:
            run.require(frozenset({"person"}))
            next((tmp_path / "release").glob("person-*/*.parquet")).unlink()
            assert run.rows(Statement("SELECT count(*) AS n FROM person")) == [(0,)]

    assert failure(counted_while_it_goes).code == "engine.files"


def test_a_path_that_the_endpoint_takes_for_a_pattern_is_refused(sail: SparkAccess, tmp_path: Path) -> None:
    odd = small_release(tmp_path / "a [b] {c}")
    engine = SparkEngine(EngineSettings(), tmp_path / "scratch", sail)
    assert (
        failure(lambda: engine.run(question("everybody"), odd, clock=time.monotonic)).code == "engine.files"
    )


def test_an_error_does_not_quote_what_it_met_nor_does_a_log(
    sail: SparkAccess, release: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    with SparkDatabase(release, sail, 60).session(Stop()) as run:
        error = failure(lambda: run.rows(Statement("SELECT CAST('Erika Mustermann' AS INTEGER) AS a")))
    assert error.code == "engine.failed"
    assert "Mustermann" not in f"{error} {error.__cause__} {error.next_step}"
    assert error.__suppress_context__
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger", "pyspark.sql.connect.logging"):
        logging.getLogger(name).error("Mustermann")
    assert "Mustermann" not in "".join(capfd.readouterr())


def test_what_a_run_keeps_is_gone_after_it(sail: SparkAccess, release: Release, tmp_path: Path) -> None:
    engine = SparkEngine(EngineSettings(), tmp_path, sail)
    first, again = (
        engine.run(question("limits"), release, clock=time.monotonic).analysis.persons for _ in range(2)
    )
    assert first == again
    with SparkDatabase(release, sail, 60).session(Stop()) as run:
        assert failure(lambda: run.rows(Statement("SELECT count(*) AS n FROM entry"))).code == "engine.failed"


def test_a_release_of_many_rows_is_asked_at_the_endpoint_and_a_small_one_in_the_node(
    sail: SparkAccess, release: Release, tmp_path: Path
) -> None:
    rows = sum(table.rows for table in release.tables)

    def engine_for(limit: int) -> str:
        content = {"site": "a", "title": "A", "hub": "https://hub", "engine": {"kind": "by_size"}}
        spark = SparkSettings(address=sail.address, rows=limit)
        chosen = ChosenEngine(NodeSettings.model_validate({**content, "spark": spark}), tmp_path, None, sail)
        assert chosen.run(question("everybody"), release, clock=time.monotonic).analysis.persons > 0
        return chosen.explain(question("everybody"), release).splitlines()[0]

    assert engine_for(rows) == "-- engine: Spark Connect"
    assert engine_for(rows + 1) == "-- engine: DuckDB"


def test_the_node_shows_what_the_endpoint_would_be_told(
    sail: SparkAccess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = f'[engine]\nkind = "spark"\n\n[spark]\naddress = "{sail.address}"\ntls = false\n'
    node = make_node(tmp_path / "home", capsys, more=more)
    node.call("ingest")
    node.call("release")
    file = tmp_path / "query.json"
    asked = question("everybody").model_copy(update={"dataset": "lab", "release": None})
    file.write_text(asked.model_dump_json(), encoding="utf-8")
    code, said, error = node.run("explain", str(file))
    assert code == 0, error
    assert said.startswith("-- release: lab-0001\n-- engine: Spark Connect\n")
    assert "CREATE TEMPORARY VIEW" in said
    assert "s3" not in said
    assert str(tmp_path) not in said, "which files are read is no part of a plan"
