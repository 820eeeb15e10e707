"""What the engine cannot do: read other files, run too long, take too much, or take text for SQL."""

import itertools
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from atoll_node.engine import DuckDbEngine, S3Access
from atoll_node.engine.connection import ReleaseDatabase, Stop
from atoll_node.engine.sql import Binder, Statement, quoted
from atoll_node.errors import EngineError
from atoll_node.release import Release
from atoll_node.settings import EngineSettings
from atoll_schemas.query import Count, Presence
from tests.support.lake import release_of
from tests.support.questions import coded, query, variable

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range = 7"


@pytest.fixture
def release(tmp_path: Path) -> Release:
    periods = [
        {
            "observation_period_id": number,
            "person_id": number,
            "observation_period_start_date": date(2000, 1, 1),
            "observation_period_end_date": date(2001, 1, 1),
        }
        for number in (1, 2, 3)
    ]
    return release_of({"person": [{"person_id": 1}], "observation_period": periods}, tmp_path / "lake")


@pytest.fixture
def database_of(release: Release, tmp_path: Path) -> Callable[..., ReleaseDatabase]:
    def make(**settings: Any) -> ReleaseDatabase:
        database = ReleaseDatabase(release, EngineSettings(**settings), tmp_path / "scratch", None)
        database.require(frozenset({"person", "observation_period"}))
        return database

    return make


def failure(database: ReleaseDatabase, text: str) -> EngineError:
    with database.session(Stop()) as session, pytest.raises(EngineError) as caught:
        session.rows(Statement(text))
    return caught.value


def test_only_the_pinned_files_can_be_read(
    database_of: Callable[..., ReleaseDatabase], tmp_path: Path
) -> None:
    database = database_of()
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    for text in (
        f"SELECT * FROM read_csv('{other}')",
        f"SELECT * FROM glob('{tmp_path}/*')",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM 'https://127.0.0.1:9/x.parquet'",
    ):
        assert failure(database, text).code.startswith("engine.")
    assert not (tmp_path / "out.csv").exists()


def test_bounds_cannot_be_changed_by_a_statement(database_of: Callable[..., ReleaseDatabase]) -> None:
    database = database_of()
    for setting in ("memory_limit = '64GB'", "enable_external_access = true", "lock_configuration = false"):
        failure(database, f"SET {setting}")


def test_a_query_that_takes_too_long_is_stopped(database_of: Callable[..., ReleaseDatabase]) -> None:
    started = time.monotonic()
    assert failure(database_of(seconds=0.2), ENDLESS).code == "engine.time"
    assert time.monotonic() - started < 10


def test_a_query_that_takes_too_much_memory_and_spill_is_stopped(
    database_of: Callable[..., ReleaseDatabase],
) -> None:
    database = database_of(memory="30MB", spill="1MB")
    text = "SELECT length(string_agg(hash(range)::VARCHAR, '')) FROM range(5000000)"
    assert failure(database, text).code == "engine.memory"


def test_a_query_that_spills_more_than_it_may_is_stopped(
    database_of: Callable[..., ReleaseDatabase],
) -> None:
    text = "CREATE TEMP TABLE big AS SELECT hash(range) AS a, hash(range + 1) AS b FROM range(8000000)"
    assert failure(database_of(memory="64MB", spill="1MB"), text).code == "engine.memory"


def test_what_does_not_fit_into_memory_spills(
    database_of: Callable[..., ReleaseDatabase], tmp_path: Path
) -> None:
    database = database_of(memory="40MB")
    with database.session(Stop()) as session:
        session.run(
            Statement(
                "CREATE TEMP TABLE big AS SELECT range, hash(range) AS x FROM range(2000000) ORDER BY x"
            )
        )
        assert session.rows(Statement("SELECT count(*) FROM big")) == [(2_000_000,)]


def test_an_error_does_not_quote_what_it_met(database_of: Callable[..., ReleaseDatabase]) -> None:
    error = failure(database_of(), "SELECT CAST('Erika Mustermann' AS INTEGER)")
    assert error.code == "engine.failed"
    assert "Mustermann" not in f"{error} {error.__cause__} {error.next_step}"
    assert error.__suppress_context__


def test_temporary_tables_of_a_run_are_gone_after_it(release: Release, tmp_path: Path) -> None:
    engine = DuckDbEngine(EngineSettings(), tmp_path / "scratch")
    for _ in range(3):
        assert engine.run(query(), release, clock=time.monotonic).analysis.persons == 3
    engine.close()


def test_a_run_can_be_stopped_before_it_begins(release: Release, tmp_path: Path) -> None:
    engine = DuckDbEngine(EngineSettings(), tmp_path / "scratch")
    with pytest.raises(EngineError) as caught:
        engine.run(query(), release, clock=time.monotonic, stoppable=lambda stop: stop())
    assert caught.value.code == "engine.stopped"
    assert engine.run(query(), release, clock=time.monotonic).analysis.persons == 3


def test_a_running_statement_can_be_stopped(database_of: Callable[..., ReleaseDatabase]) -> None:
    stop = Stop()
    timer = threading.Timer(0.2, stop.now, (EngineError("engine.stopped", "the query was stopped"),))
    timer.start()
    with database_of().session(stop) as session, pytest.raises(EngineError) as caught:
        session.rows(Statement(ENDLESS))
    assert caught.value.code == "engine.stopped"


def test_text_of_the_query_is_a_value_and_never_sql(release: Release, tmp_path: Path) -> None:
    engine = DuckDbEngine(EngineSettings(), tmp_path / "scratch")
    hostile = "x') OR 1=1; DROP VIEW person; --"
    asked = query(
        analysis=Count(
            by=(variable("found", Presence(domain="measurement", codes=coded(hostile, "$p0", "it's"))),)
        )
    )
    assert hostile not in engine.explain(asked, release)
    persons = engine.run(asked, release, clock=time.monotonic).analysis.by.persons
    assert dict(persons) == {("yes",): 0, ("no",): 3}


@pytest.mark.parametrize("name", ['a"b', "A", "a b", "", "1a", "a;b"])
def test_only_plain_names_become_identifiers(name: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        quoted(name)


def test_a_long_list_is_one_parameter() -> None:
    binder = Binder()
    assert binder.members(tuple(range(3))) == "($p0::BIGINT, $p1::BIGINT, $p2::BIGINT)"
    assert binder.members(tuple(range(1000))) == "(SELECT unnest($p3::BIGINT[]))"
    assert len(binder.parameters) == 4


def test_explain_shows_statements_without_values(release: Release, tmp_path: Path) -> None:
    text = DuckDbEngine(EngineSettings(), tmp_path / "scratch").explain(query(), release)
    assert "CREATE TEMP TABLE entry_events" in text
    assert "cohort_index" in text


def test_keys_of_the_store_are_in_no_text_form() -> None:
    access = S3Access("http://127.0.0.1:9", access_key="AKIA1", secret_key="s3cr3t")
    assert "s3cr3t" not in repr(access)
    assert "AKIA1" not in repr(access)


def test_a_bucket_that_cannot_be_reached_is_named_without_its_keys(tmp_path: Path, release: Release) -> None:
    table = release.tables[0].model_copy(update={"uri": "s3://lake/observation_period"})
    remote = release.model_copy(update={"tables": (table,)})
    access = S3Access("http://127.0.0.1:9", access_key="AKIA1", secret_key="it's s3cr3t")
    engine = DuckDbEngine(EngineSettings(), tmp_path / "scratch", access)
    with pytest.raises(EngineError) as caught:
        engine.run(query(), remote, clock=time.monotonic)
    assert caught.value.code == "engine.files"
    assert "s3cr3t" not in str(caught.value)


def test_a_file_that_is_gone_is_an_error_and_not_fewer_persons(release: Release, tmp_path: Path) -> None:
    for path in itertools.chain.from_iterable(table.paths() for table in release.tables):
        Path(path).unlink()
    engine = DuckDbEngine(EngineSettings(), tmp_path / "scratch")
    with pytest.raises(EngineError) as caught:
        engine.run(query(), release, clock=time.monotonic)
    assert caught.value.code == "engine.files"


def test_many_releases_are_opened_one_after_the_other(tmp_path: Path) -> None:
    engine = DuckDbEngine(EngineSettings(), tmp_path / "scratch")
    for persons in (1, 2, 3, 4, 1):
        rows = [
            {
                "observation_period_id": number,
                "person_id": number,
                "observation_period_start_date": date(2000, 1, 1),
                "observation_period_end_date": date(2001, 1, 1),
            }
            for number in range(persons)
        ]
        release = release_of({"observation_period": rows}, tmp_path / "lake")
        assert engine.run(query(), release, clock=time.monotonic).analysis.persons == persons
