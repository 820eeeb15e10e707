"""`atoll-node cohort run` under little memory: it spills to the disk, and writes the same rows."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from atoll_node.cli.main import app
from atoll_node.engine import cohort_files
from atoll_node.engine.batch import Stays, Tally
from atoll_node.engine.cohort_files import CohortFiles

PERSONS = 60_000
COHORTS = range(1, 31)
LITTLE, PLENTY = "24MB", "2GB"
BLOCK = 400_000


@pytest.fixture
def kept_for_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand rows to DuckDB after few of them, as a run over millions of persons does all the time."""
    monkeypatch.setattr(cohort_files, "_MOST_KEPT", BLOCK // 2)


def written(scratch: Path, out: Path, memory: str) -> Iterator[int]:
    """Add several blocks of rows; yield the bytes on the disk before they are written."""
    files = CohortFiles(scratch, memory, 1)
    for block in range(12):
        draw = np.random.default_rng(block)
        persons = draw.integers(1, 2**40, BLOCK)
        start = draw.integers(0, 20_000, BLOCK, dtype=np.int32)
        files.add(Stays(np.full(BLOCK, block + 1, dtype=np.int32), persons, start, start + np.int32(30)))
    yield sum(file.stat().st_size for file in scratch.rglob("*") if file.is_file())
    files.write({number: Tally(0) for number in range(1, 13)}, out)
    files.close()
    yield files.rows


def fingerprint(out: Path) -> tuple[object, ...]:
    """Return what does not depend on the order of rows."""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT count(*), sum(hash(c)::HUGEINT), min(cohort_start_date), max(cohort_end_date) "
            f"FROM read_parquet('{out / 'cohort.parquet'}') c"
        ).fetchone()
    assert found is not None
    return found


def test_rows_beyond_the_memory_go_to_the_disk_and_come_back(tmp_path: Path, kept_for_short: None) -> None:
    spilled, rows = written(tmp_path / "little", tmp_path / "out-little", LITTLE)
    in_memory, _ = written(tmp_path / "plenty", tmp_path / "out-plenty", PLENTY)

    assert spilled > 10_000_000
    assert in_memory == 0
    assert rows == 12 * BLOCK
    assert fingerprint(tmp_path / "out-little") == fingerprint(tmp_path / "out-plenty")


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


def test_a_run_under_little_memory_ends_with_the_same_rows(
    cdm: Path, tmp_path: Path, kept_for_short: None
) -> None:
    definitions = tmp_path / "definitions"
    definitions.mkdir()
    for number in COHORTS:
        (definitions / f"{number}.json").write_text(definition(number), encoding="utf-8")

    for name, memory in (("little", LITTLE), ("plenty", PLENTY)):
        options = ["--cdm", str(cdm), "--out", str(tmp_path / name), "--memory", memory, "--threads", "1"]
        assert app(["cohort", "run", str(definitions), *options]) == 0

    assert fingerprint(tmp_path / "little") == fingerprint(tmp_path / "plenty")
    assert fingerprint(tmp_path / "little")[0] == PERSONS * len(COHORTS)
