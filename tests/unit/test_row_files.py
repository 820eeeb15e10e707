"""A table's rows become Parquet files: every field and no other column, in a stream, whole or not at all."""

from datetime import date, datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atoll_node.errors import LakeError
from atoll_node.row_files import ROWS_PER_GROUP, row_files
from atoll_schemas.tables import Datatype, core_1

MEASUREMENT = core_1().table("measurement")


def batch(count, start=0, **columns):
    keys = list(range(start, start + count))
    return pa.RecordBatch.from_pydict({"measurement_id": keys, **columns})


def written(folder, *batches, **options):
    return list(row_files(MEASUREMENT, batches, folder, "v7", **options))


def test_a_file_has_every_field_of_the_table_in_its_order(tmp_path):
    (file,) = written(tmp_path, batch(3))

    assert pq.read_schema(file.path).names == list(MEASUREMENT.names)


def test_the_types_are_those_of_the_specification(tmp_path):
    (file,) = written(tmp_path, batch(1))

    described = duckdb.sql(f"DESCRIBE FROM read_parquet('{file.path}')").fetchall()

    assert {row[0]: row[1] for row in described} == {
        field.name: field.datatype.duckdb for field in MEASUREMENT.fields
    }


def test_a_field_that_the_batches_lack_is_null(tmp_path):
    (file,) = written(tmp_path, batch(3, value_as_number=[1.5, None, 2.5]))

    rows = pq.read_table(file.path)

    assert rows.column("value_as_number").to_pylist() == [1.5, None, 2.5]
    assert rows.column("unit_source_value").null_count == 3


def test_a_column_that_is_no_field_is_not_written(tmp_path):
    (file,) = written(tmp_path, batch(2, atoll_given_measurement_id=[4711, 4712]))

    assert "atoll_given_measurement_id" not in pq.read_schema(file.path).names


def test_the_order_of_the_columns_does_not_matter(tmp_path):
    given = pa.RecordBatch.from_pydict({"person_id": [7], "measurement_id": [1]})

    (file,) = written(tmp_path, given)

    assert pq.read_table(file.path, columns=["measurement_id", "person_id"]).to_pylist() == [
        {"measurement_id": 1, "person_id": 7}
    ]


def test_dates_and_moments_come_back_as_they_were_without_a_time_zone(tmp_path):
    day, moment = date(2016, 2, 29), datetime(2016, 2, 29, 23, 59, 59, 123456)
    (file,) = written(tmp_path, batch(1, measurement_date=[day], measurement_datetime=[moment]))

    found = duckdb.sql(
        f"SELECT measurement_date, measurement_datetime FROM read_parquet('{file.path}')"
    ).fetchall()

    assert found == [(day, moment)]


def test_whole_numbers_of_another_width_fit(tmp_path):
    given = pa.RecordBatch.from_arrays([pa.array([1, 2], pa.int32())], ["measurement_id"])

    (file,) = written(tmp_path, given)

    assert pq.read_schema(file.path).field("measurement_id").type == pa.int64()


def test_a_table_without_rows_has_one_file_that_says_so(tmp_path):
    (file,) = written(tmp_path)

    assert file.rows == 0
    assert file.bytes == file.path.stat().st_size
    assert pq.read_table(file.path).num_rows == 0


def test_a_file_says_how_many_rows_and_bytes_it_has(tmp_path):
    (file,) = written(tmp_path, batch(3), batch(4, start=3))

    assert (file.path.name, file.rows) == ("v7-0.parquet", 7)
    assert file.bytes == file.path.stat().st_size


def test_a_full_file_is_followed_by_another_and_no_row_is_lost(tmp_path):
    batches = [batch(1000, start=1000 * number) for number in range(5)]

    files = written(tmp_path, *batches, bytes_per_file=1)

    assert [file.path.name for file in files] == [f"v7-{number}.parquet" for number in range(5)]
    keys = duckdb.sql(f"SELECT measurement_id FROM read_parquet('{tmp_path}/*.parquet')").fetchall()
    assert sorted(key for (key,) in keys) == list(range(5000))


def test_a_file_comes_out_before_the_next_batches_are_made(tmp_path):
    made = []

    def batches():
        for number in range(8):
            made.append(number)
            yield batch(10, start=10 * number)

    first = next(row_files(MEASUREMENT, batches(), tmp_path, "v7", bytes_per_file=1))

    assert pq.read_table(first.path).num_rows == 10
    assert len(made) < 8


def test_rows_stand_in_groups_that_a_reader_takes_at_once(tmp_path):
    (file,) = written(tmp_path, batch(ROWS_PER_GROUP + 1))

    metadata = pq.read_metadata(file.path)

    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [
        ROWS_PER_GROUP,
        1,
    ]


def test_no_smallest_or_largest_text_is_kept(tmp_path):
    (file,) = written(tmp_path, batch(2, unit_source_value=["mg", "ml"], value_as_number=[1.0, 2.0]))

    group = pq.read_metadata(file.path).row_group(0)
    chunks = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}

    texts = [field.name for field in MEASUREMENT.fields if field.datatype is Datatype.VARCHAR]
    assert not any(
        chunks[name].statistics is not None and chunks[name].statistics.has_min_max for name in texts
    )
    assert chunks["value_as_number"].statistics.max == 2.0


def test_the_file_carries_no_other_description_than_its_columns(tmp_path):
    given = batch(1).replace_schema_metadata({"source": "secret-file.csv"})

    (file,) = written(tmp_path, given)

    assert not pq.read_metadata(file.path).metadata
    assert b"secret-file" not in file.path.read_bytes()


def test_whoever_watches_hears_the_rows_so_far(tmp_path):
    heard = []

    written(tmp_path, batch(3), batch(4, start=3), watch=heard.append)

    assert heard == [3, 7]


def test_a_file_that_cannot_be_written_is_told_by_its_kind_alone(tmp_path):
    (tmp_path / "secret-name").write_text("a file, where the folder should be")

    with pytest.raises(LakeError) as told:
        written(tmp_path / "secret-name", batch(1))

    assert told.value.code == "lake.files"
    assert "secret-name" not in str(told.value)
    assert told.value.__cause__ is None


def test_a_value_that_does_not_fit_is_not_told(tmp_path):
    given = pa.RecordBatch.from_pydict({"measurement_id": ["secret-value"]})

    with pytest.raises(LakeError) as told:
        written(tmp_path, given)

    assert "secret-value" not in str(told.value)
    assert told.value.__suppress_context__


def test_a_fault_of_whoever_makes_the_rows_comes_through(tmp_path):
    def batches():
        yield batch(1)
        raise LakeError("deidentify.failed", "the batch could not be de-identified")

    with pytest.raises(LakeError, match="de-identified"):
        list(row_files(MEASUREMENT, batches(), tmp_path, "v7"))
