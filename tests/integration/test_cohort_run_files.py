"""What `atoll-node cohort run` writes goes to the disk block by block, whole or not at all, in any memory."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pytest

from atoll_node.cli.main import app
from atoll_node.engine.batch import Stays, Tally
from atoll_node.engine.cohort_files import CohortFiles
from atoll_node.errors import EngineError

PERSONS = 60_000
COHORTS = range(1, 31)
LITTLE, PLENTY = "24MB", "2GB"
BLOCK = 400_000


def block(number: int) -> Stays:
    """Rows of one cohort."""
    draw = np.random.default_rng(number)
    start = draw.integers(-20_000, 20_000, BLOCK, dtype=np.int32)
    cohort = np.full(BLOCK, number, dtype=np.int32)
    return Stays(cohort, draw.integers(1, 2**40, BLOCK), start, start + np.int32(30))


def fingerprint(out: Path) -> tuple[object, ...]:
    """Return what does not depend on the order of rows."""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT count(*), sum(hash(c)::HUGEINT), min(cohort_start_date), max(cohort_end_date) "
            f"FROM read_parquet('{out / 'cohort.parquet'}') c"
        ).fetchone()
    assert found is not None
    return found


def cohorts_of(out: Path) -> dict[int, int]:
    """Return the rows of each cohort."""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT cohort_definition_id, count(*) FROM read_parquet('{out / 'cohort.parquet'}') GROUP BY 1"
        ).fetchall()
    return dict(found)


def test_rows_are_on_the_disk_before_the_run_is_over_and_under_their_name_after_it(tmp_path: Path) -> None:
    files = CohortFiles(tmp_path / "out")
    for number in range(1, 4):
        files.add(block(number))
    begun = sum(file.stat().st_size for file in (tmp_path / "out").iterdir())
    assert begun > 2 * BLOCK * 8
    assert not (tmp_path / "out" / "cohort.parquet").exists()

    files.write({number: Tally(0) for number in range(1, 4)})
    files.close()
    assert files.rows == 3 * BLOCK
    assert cohorts_of(tmp_path / "out") == {1: BLOCK, 2: BLOCK, 3: BLOCK}
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"cohort.parquet", "inclusion.parquet", "summary.parquet"}


def test_dates_before_and_after_1970_are_written_as_they_are(tmp_path: Path) -> None:
    files = CohortFiles(tmp_path)
    days = np.array([-1, 0, 19_000], dtype=np.int32)
    files.add(Stays(np.ones(3, dtype=np.int32), np.arange(3, dtype=np.int64), days, days))
    files.write({1: Tally(0)})
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT cohort_start_date::VARCHAR FROM read_parquet('{tmp_path / 'cohort.parquet'}')"
        ).fetchall()
    assert found == [("1969-12-31",), ("1970-01-01",), ("2022-01-08",)]


def test_a_cohort_that_failed_in_a_later_block_leaves_no_rows_of_the_first(tmp_path: Path) -> None:
    files = CohortFiles(tmp_path)
    for number in range(1, 4):
        files.add(block(number))
    failed = Tally(0, failed=EngineError("engine.failed", "the engine failed"))
    files.write({1: Tally(0), 2: failed, 3: Tally(0)})
    files.close()
    assert cohorts_of(tmp_path) == {1: BLOCK, 3: BLOCK}
    assert files.rows == 2 * BLOCK


def test_a_run_that_ends_early_leaves_no_half_file(tmp_path: Path) -> None:
    files = CohortFiles(tmp_path)
    files.add(block(1))
    files.close()
    assert list(tmp_path.iterdir()) == []


@contextmanager
def no_larger_than(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond some bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_is_told_and_leaves_no_rows_behind(tmp_path: Path) -> None:
    files = CohortFiles(tmp_path)
    with no_larger_than(1_000_000):
        with pytest.raises(EngineError) as caught:
            files.add(block(1))
        files.close()
    assert caught.value.code == "cohort.write"
    assert str(tmp_path) not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_while_rows_are_left_out_leaves_none_behind(tmp_path: Path) -> None:
    files = CohortFiles(tmp_path)
    for number in (1, 2):
        files.add(block(number))
    failed = Tally(0, failed=EngineError("engine.failed", "the engine failed"))
    size = (tmp_path / "cohort.partial").stat().st_size
    with no_larger_than(size // 4), pytest.raises(EngineError) as caught:
        files.write({1: Tally(0), 2: failed})
    files.close()
    assert caught.value.code == "cohort.write"
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_first_answer_stands_keeps_it_until_the_second_is_whole(tmp_path: Path) -> None:
    first = CohortFiles(tmp_path)
    first.add(block(1))
    first.write({1: Tally(0)})
    first.close()
    second = CohortFiles(tmp_path)
    second.add(block(2))
    second.close()
    assert cohorts_of(tmp_path) == {1: BLOCK}


def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(EngineError) as caught:
        CohortFiles(tmp_path / "file")
    assert caught.value.code == "cohort.write"
    assert caught.value.next_step == "check the folder and its free space"


@pytest.fixture(scope="module")
def cdm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many persons with one condition each."""
    folder = tmp_path_factory.mktemp("cdm")
    tables = {
        "person": "SELECT i AS person_id, 8507 + 25 * (i % 2) AS gender_concept_id, 1950 AS year_of_birth",
        "observation_period": "SELECT i AS observation_period_id, i AS person_id, "
        "DATE '2010-01-01' AS observation_period_start_date, "
        "DATE '2019-12-31' AS observation_period_end_date",
        "condition_occurrence": "SELECT i AS condition_occurrence_id, i AS person_id, 10 AS "
        "condition_concept_id, DATE '2011-01-01' + (i % 3000)::INTEGER AS condition_start_date",
    }
    with duckdb.connect() as connection:
        for name, columns in tables.items():
            rows = f"{columns} FROM range(1, {PERSONS} + 1) t(i)"
            connection.execute(f"COPY ({rows}) TO '{folder / name}.parquet' (FORMAT parquet)")
    return folder


def definition(number: int) -> str:
    """Return a cohort of everybody with the condition, that ends after so many days."""
    return json.dumps(
        {
            "ConceptSets": [
                {"id": 0, "name": "c", "expression": {"items": [{"concept": {"CONCEPT_ID": 10}}]}}
            ],
            "PrimaryCriteria": {
                "CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0}}],
                "PrimaryCriteriaLimit": {"Type": "All"},
            },
            "EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": number}},
        }
    )


def test_a_run_under_little_memory_ends_with_the_same_rows(cdm: Path, tmp_path: Path) -> None:
    definitions = tmp_path / "definitions"
    definitions.mkdir()
    for number in COHORTS:
        (definitions / f"{number}.json").write_text(definition(number), encoding="utf-8")

    for name, memory in (("little", LITTLE), ("plenty", PLENTY)):
        options = ["--cdm", str(cdm), "--out", str(tmp_path / name), "--memory", memory, "--threads", "1"]
        assert app(["cohort", "run", str(definitions), *options]) == 0

    assert fingerprint(tmp_path / "little") == fingerprint(tmp_path / "plenty")
    assert fingerprint(tmp_path / "little")[0] == PERSONS * len(COHORTS)
