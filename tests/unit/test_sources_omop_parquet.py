"""Parquet files of odd types are read by value, and the same defects are caught in them."""

from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atoll_node.errors import SourceError
from tests.support.source_files import lines, stage_files, stage_folder


def staged(tmp_path, columns, name: str = "death.parquet"):
    folder = tmp_path / "source"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / name)
    return stage_folder(folder, tmp_path)


@pytest.mark.parametrize(
    ("persons", "days"),
    [
        (pa.array([1, 2], pa.int64()), pa.array([date(2020, 1, 1), date(2020, 1, 2)])),
        (pa.array([1, 2], pa.int32()), pa.array([datetime(2020, 1, 1), datetime(2020, 1, 2)])),
        (pa.array([1.0, 2.0]), pa.array(["2020-01-01", "2020-01-02"])),
        (pa.array(["1", "2"]), pa.array(["20200101", "2020-01-02 00:00:00"])),
    ],
    ids=["as the model", "narrow and timestamp", "double and text", "all text"],
)
def test_types_become_those_of_the_table(tmp_path, persons, days):
    found = staged(tmp_path, {"PERSON_ID": persons, "death_date": days})
    assert found.rows("death", "person_id", "death_date") == [(1, date(2020, 1, 1)), (2, date(2020, 1, 2))]


def test_defects_are_caught_by_record(tmp_path):
    found = staged(
        tmp_path,
        {
            "person_id": pa.array([1.0, 2.5, None, 1.0, 4.0]),
            "death_date": pa.array(["2020-01-01", "2020-01-01", "2020-01-01", "2020-01-01", "2020-02-30"]),
            "unknown": pa.array(["a", "b", "c", "d", "e"]),
        },
    )
    assert found.defects() == [
        (2, "person_id", "value.integer"),
        (3, "person_id", "value.required"),
        (4, "person_id", "key.duplicate"),
        (5, "death_date", "value.date"),
    ]
    assert found.warnings() == ["column.unknown"]
    assert found.table("death").read == 5


def test_a_duplicate_in_a_column_of_the_right_type_is_caught(tmp_path):
    found = staged(
        tmp_path,
        {
            "person_id": pa.array([7, 7], pa.int64()),
            "death_date": pa.array([date(2020, 1, 1), date(2020, 1, 2)]),
        },
    )
    assert found.defects() == [(2, "person_id", "key.duplicate")]


def test_fields_of_cdm_5_3_are_renamed(tmp_path):
    found = staged(
        tmp_path,
        {
            "visit_occurrence_id": pa.array([1], pa.int64()),
            "person_id": pa.array([1], pa.int64()),
            "visit_concept_id": pa.array([9201], pa.int64()),
            "visit_start_date": pa.array([date(2020, 1, 1)]),
            "visit_end_date": pa.array([date(2020, 1, 1)]),
            "visit_type_concept_id": pa.array([0], pa.int64()),
            "admitting_source_value": pa.array(["home"]),
        },
        "visit_occurrence.parquet",
    )
    assert found.rows("visit_occurrence", "admitted_from_source_value") == [("home",)]


def test_a_file_that_is_no_parquet_is_told_by_its_place(tmp_path):
    with pytest.raises(SourceError) as caught:
        stage_files(tmp_path, {"death/Miller_John.parquet": b"PAR1 not"})
    assert str(caught.value) == "death: file 1 is no readable Parquet"


def test_record_numbers_of_a_large_file_are_those_of_its_lines(tmp_path):
    bad = {17, 99_999, 250_000}
    records = [f"{n},{'2020-02-30' if n in bad else '2020-01-01'}" for n in range(1, 300_001)]
    found = stage_files(tmp_path, {"death.csv": lines("person_id,death_date", *records)})
    assert found.defects() == [(n, "death_date", "value.date") for n in sorted(bad)]
    assert {int(kept["values"]["person_id"]) for kept in found.kept()} == bad
    assert found.table("death").written == 300_000 - len(bad)


def test_blank_lines_before_the_header_are_passed_over(tmp_path):
    found = stage_files(tmp_path, {"death.csv": "\n\nperson_id,death_date\n1,2020-01-01\n2,x\n"})
    assert found.defects() == [(2, "death_date", "value.date")]
