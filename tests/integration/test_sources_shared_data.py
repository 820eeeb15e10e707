"""A whole public CDM reads fully, the same from Parquet, CSV and gzipped CSV."""

import json

import duckdb
import pytest

from atoll_node.staging import StagedTable
from tests.support.shared_data import shared
from tests.support.source_files import Outcome, stage_folder

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def gibleed(tmp_path_factory) -> Outcome:
    return stage_folder(shared("gibleed"), tmp_path_factory.mktemp("gibleed"))


def test_every_row_of_every_table_is_staged(gibleed):
    counts = json.loads(shared("gibleed/counts.json").read_text(encoding="utf-8"))["rows"]
    assert {table.table: table.written for table in gibleed.staged.tables} == counts
    assert gibleed.staged.quarantined == ()


def test_observation_periods_without_a_person_stay_for_the_quality_checks(gibleed):
    periods = [row[0] for row in gibleed.rows("observation_period", "person_id")]
    persons = {row[0] for row in gibleed.rows("person", "person_id")}
    assert sum(person not in persons for person in periods) == 2649


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_the_same_rows_come_from_csv(gibleed, tmp_path, ending):
    folder = tmp_path / "export"
    folder.mkdir()
    with duckdb.connect() as connection:
        for file in shared("gibleed").glob("*.parquet"):
            target = folder / f"{file.stem.upper()}.{ending}"
            connection.execute(f"COPY (FROM read_parquet('{file}')) TO '{target}' (FORMAT csv, HEADER)")
    found = stage_folder(folder, tmp_path)
    assert found.staged.quarantined == ()
    assert [table.read for table in found.staged.tables] == [table.read for table in gibleed.staged.tables]
    for table in gibleed.staged.tables:
        if table.read:
            assert differing(table, found.table(table.table)) == 0, table.table


def differing(one: StagedTable, other: StagedTable) -> int:
    """Count the rows of which one staged table has more than the other."""
    files = [[str(file) for file in table.files] for table in (one, other)]
    query = "SELECT count(*) FROM (FROM read_parquet(?) EXCEPT ALL FROM read_parquet(?))"
    with duckdb.connect() as connection:
        row = connection.execute(query, files).fetchone()
    assert row is not None
    return int(row[0])
