"""A mapping turns rows of flat files into records, and sends those away that it cannot turn."""

from datetime import date, datetime

import pytest

from atoll_node.sources.units import UNITS, conversion
from tests.support.source_files import lines, stage_files

HEAD = """
format = "atoll-mapping@1"
[[files]]
name = "visits"
path = "visits.csv"
person = "mrn"
key = ["mrn", "visit"]
decimal = ","
delimiter = ";"
date_format = "dd.mm.yyyy"
absent = ["", "n/a"]
"""
PERSON = """
[[records]]
file = "visits"
table = "person"
[records.fields]
gender_concept_id = { column = "sex", values = { m = 8507, w = 8532 } }
year_of_birth = { year_of = "day", minus = "age" }
"""
LAB = """
[[records]]
file = "visits"
table = "measurement"
[records.fields]
measurement_date = { column = "day", plus_days = "offset" }
[[records.each]]
column = "hb"
[records.each.fields]
measurement_source_value = { constant = "HB" }
value_as_number = { column = "*", unit = "g/dL", to = "g/L" }
[[records.each]]
column = "temp"
[records.each.fields]
measurement_source_value = { constant = "T" }
value_as_number = { column = "*", unit = "[degF]", to = "Cel" }
"""
DEATH = """
[[records]]
file = "visits"
table = "death"
when = [{ column = "dead", is = ["1"], otherwise = ["0", ""] }]
[records.fields]
death_date = "day"
death_datetime = { column = "day" }
"""
HEADER = "mrn;visit;sex;age;day;offset;hb;temp;dead"


def staged(tmp_path, mapping: str, *rows: str):
    return stage_files(tmp_path, {"visits.csv": lines(HEADER, *rows)}, HEAD + mapping)


def test_the_year_of_birth_is_the_year_of_a_date_less_the_age(tmp_path):
    found = staged(tmp_path, PERSON, "A1;1;m;61;31.01.2020;0;;;0")
    fields = ("year_of_birth", "gender_concept_id", "race_concept_id")
    assert found.rows("person", *fields) == [(1959, 8507, 0)]


def test_one_row_becomes_several_records_with_converted_units(tmp_path):
    found = staged(tmp_path, LAB, "A1;1;m;61;31.01.2020;30;12,5;98,6;0")
    fields = ("measurement_source_value", "measurement_date", "value_as_number", "unit_source_value")
    (hb, temperature) = found.rows("measurement", *fields)
    assert hb == ("HB", date(2020, 3, 1), 125.0, "g/L")
    assert temperature[2] == pytest.approx(37.0, abs=1e-9)


def test_an_empty_column_of_a_wide_row_is_no_record(tmp_path):
    found = staged(tmp_path, LAB, "A1;1;m;61;31.01.2020;0;n/a;;0")
    assert found.table("measurement").read == 0


def test_a_record_is_made_only_where_the_condition_holds(tmp_path):
    found = staged(tmp_path, DEATH, "A1;1;m;61;31.01.2020;0;;;1", "A2;1;m;61;31.01.2020;0;;;0")
    assert found.rows("death", "death_date", "death_datetime") == [(date(2020, 1, 31), datetime(2020, 1, 31))]


@pytest.mark.parametrize(
    ("mapping", "row", "table", "field", "code"),
    [
        (PERSON, "A1;1;x;61;31.01.2020;0;;;0", "person", "gender_concept_id", "value.code"),
        (PERSON, "A1;1;;61;31.01.2020;0;;;0", "person", "gender_concept_id", "value.required"),
        (PERSON, "A1;1;m;old;31.01.2020;0;;;0", "person", "year_of_birth", "value.integer"),
        (PERSON, "A1;1;m;61;30.02.2020;0;;;0", "person", "year_of_birth", "value.date"),
        (LAB, "A1;1;m;61;2020-01-31;0;12;;0", "measurement", "measurement_date", "value.date"),
        (LAB, "A1;1;m;61;31.01.20;0;12;;0", "measurement", "measurement_date", "value.date"),
        (LAB, "A1;1;m;61;31.01.2020;soon;12;;0", "measurement", "measurement_date", "value.integer"),
        (LAB, "A1;1;m;61;31.01.2020;9999999999;12;;0", "measurement", "measurement_date", "value.overflow"),
        (LAB, "A1;1;m;61;31.01.2020;99999;12;;0", "measurement", "measurement_date", "value.date_range"),
        (LAB, "A1;1;m;61;31.01.2020;0;1.2.3;;0", "measurement", "value_as_number", "value.number"),
        (DEATH, "A1;1;m;61;31.01.2020;0;;;7", "death", "dead", "value.code"),
        (PERSON, ";1;m;61;31.01.2020;0;;;0", "person", "mrn", "value.required"),
        (PERSON, "A1;1;m", "person", None, "structure.ragged"),
    ],
)
def test_a_defect_is_caught_and_the_next_row_goes_on(tmp_path, mapping, row, table, field, code):
    found = staged(tmp_path, mapping, row, "A2;1;m;61;31.01.2020;0;12;;1")
    assert found.defects() == [(1, field, code)]
    got = found.table(table)
    assert (got.read, got.written, got.quarantined) == (2, 1, 1)


def test_a_row_with_the_key_of_an_earlier_row_is_one_quarantined_record(tmp_path):
    row = "A1;1;m;61;31.01.2020;0;12;99;1"
    found = staged(tmp_path, PERSON + LAB + DEATH, row, row.replace("61", "62"))
    assert found.defects() == [(2, None, "key.duplicate")]
    assert [(t.table, t.written) for t in found.staged.tables] == [
        ("person", 1),
        ("measurement", 2),
        ("death", 1),
    ]


def test_two_rows_that_give_one_person_are_told_apart_by_the_tables_key(tmp_path):
    found = staged(tmp_path, PERSON, "A1;1;m;61;31.01.2020;0;;;0", "A1;2;m;62;31.01.2020;0;;;0")
    assert found.defects() == [(2, "person_id", "key.duplicate")]


def test_person_identifiers_are_told_beside_their_numbers(tmp_path):
    import duckdb

    found = staged(tmp_path, PERSON + LAB, "A1;1;m;61;31.01.2020;0;12;;0", "B-2;1;w;61;31.01.2020;0;;;0")
    with duckdb.connect() as connection:
        ids = dict(connection.execute("FROM read_parquet(?)", [str(found.staged.person_ids)]).fetchall())
    assert set(ids) == {"A1", "B-2"}
    assert sorted(ids.values()) == sorted(row[0] for row in found.rows("person", "person_id"))
    assert found.rows("measurement", "person_id") == [(ids["A1"],)]


def test_the_same_row_has_the_same_keys_in_another_batch(tmp_path):
    row = "A1;1;m;61;31.01.2020;0;12;;0"
    first = staged(tmp_path / "a", LAB, row)
    later = staged(tmp_path / "b", LAB, "A0;1;m;61;31.01.2020;0;13;;0", row)
    (key,) = first.rows("measurement", "measurement_id")
    assert key in later.rows("measurement", "measurement_id")
    assert first.staged.batch != later.staged.batch


def test_another_mapping_makes_another_batch(tmp_path):
    row = "A1;1;m;61;31.01.2020;0;12;;0"
    assert (
        staged(tmp_path / "a", LAB, row).staged.batch
        != staged(tmp_path / "b", LAB + "\n# x", row).staged.batch
    )


def test_a_file_that_no_part_of_the_mapping_reads_is_told(tmp_path):
    found = stage_files(tmp_path, {"visits.csv": lines(HEADER), "more.csv": "x\n"}, HEAD + PERSON)
    assert sorted(found.warnings()) == ["file.header_only", "file.unknown"]


def test_text_of_a_record_never_becomes_sql(tmp_path):
    found = staged(tmp_path, PERSON, "A1') OR 1=1 --;1;m;61;31.01.2020;0;;;0")
    assert found.table("person").written == 1


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_a_unit_converts_there_and_back(unit):
    for other, found in UNITS.items():
        if found.quantity == UNITS[unit].quantity:
            factor, offset = conversion(unit, other)
            back, shift = conversion(other, unit)
            assert (7.0 * factor + offset) * back + shift == pytest.approx(7.0, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (100, "Cel", "[degF]", 212),
        (12.5, "g/dL", "g/L", 125),
        (1, "[lb_av]", "kg", 0.45359237),
        (1, "kcal", "kJ", 4.184),
    ],
)
def test_a_known_conversion_holds(value, unit, to, expected):
    factor, offset = conversion(unit, to)
    assert value * factor + offset == pytest.approx(expected, rel=1e-12)
