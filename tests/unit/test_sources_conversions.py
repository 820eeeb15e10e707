"""Units, dates and packings as tables: the text that a hospital writes, and the value that is staged."""

import bz2
import gzip
import hashlib
from datetime import date, datetime

import duckdb
import pytest

from atoll_node.errors import SourceError
from atoll_node.sources import duck
from atoll_node.sources.files import batch_of, digested, form_of, source_file
from atoll_node.sources.formats import DATE_FORMATS, shape_of
from atoll_node.sources.progress import TableProgress
from atoll_node.sources.units import UNITS, conversion
from atoll_node.sources.values import from_text, present, record_checks, typed
from atoll_schemas.tables import table


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (50, "%", "1", 0.5),
        (0.5, "1", "%", 50),
        (70, "kg", "g", 70_000),
        (70_000, "mg", "g", 70),
        (1, "kg", "[lb_av]", 2.2046226218487757),
        (1.8, "m", "cm", 180),
        (1800, "mm", "m", 1.8),
        (1, "[in_i]", "cm", 2.54),
        (12.5, "g/dL", "g/L", 125),
        (100, "mg/dL", "g/L", 1),
        (5, "mg/L", "mg/dL", 0.5),
        (7, "ng/mL", "ug/L", 7),
        (1, "mmol/L", "umol/L", 1000),
        (0.2, "kU/L", "U/L", 200),
        (4.5, "10*12/L", "10*9/L", 4500),
        (6.1, "10*3/uL", "10*9/L", 6.1),
        (1, "kPa", "mm[Hg]", 7.50061683),
        (100, "kcal", "kJ", 418.4),
        (2, "wk", "d", 14),
        (1, "mo", "d", 30.4375),
        (1, "a", "mo", 12),
        (0, "Cel", "[degF]", 32),
        (37, "Cel", "[degF]", 98.6),
        (-40, "[degF]", "Cel", -40),
        (212, "[degF]", "Cel", 100),
    ],
)
def test_a_value_in_one_unit_is_the_known_value_in_the_other(value, unit, to, expected):
    factor, offset = conversion(unit, to)

    assert value * factor + offset == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_a_unit_to_itself_changes_nothing(unit):
    assert conversion(unit, unit) == (1.0, 0.0)


def test_only_temperatures_have_an_offset():
    assert {unit.quantity for unit in UNITS.values() if unit.offset} == {"temperature"}
    assert all(unit.factor > 0 for unit in UNITS.values())


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as found:
        yield found


def read_day(connection, name, text):
    pattern = DATE_FORMATS[name]
    row = connection.execute(
        "SELECT CASE WHEN regexp_full_match($1, $2) THEN try_strptime($1, $3) END",
        [text, shape_of(pattern), pattern],
    ).fetchone()
    return row[0]


DAYS = {
    "yyyy-mm-dd": "2020-02-29",
    "yyyy/mm/dd": "2020/02/29",
    "yyyymmdd": "20200229",
    "dd.mm.yyyy": "29.02.2020",
    "dd/mm/yyyy": "29/02/2020",
    "dd-mm-yyyy": "29-02-2020",
    "mm/dd/yyyy": "02/29/2020",
    "mm-dd-yyyy": "02-29-2020",
    "dd-mon-yyyy": "29-Feb-2020",
}


def test_every_format_of_days_is_in_the_table():
    assert set(DAYS) == {name for name in DATE_FORMATS if "hh" not in name}
    assert len(DATE_FORMATS) == 3 * len(DAYS)


@pytest.mark.parametrize("name", DAYS)
def test_a_day_is_read_in_its_format(connection, name):
    assert read_day(connection, name, DAYS[name]) == datetime(2020, 2, 29)


@pytest.mark.parametrize("name", DAYS)
def test_a_moment_is_read_in_its_format(connection, name):
    moment = datetime(2020, 2, 29, 7, 5)

    assert read_day(connection, f"{name} hh:mm", f"{DAYS[name]} 07:05") == moment
    assert read_day(connection, f"{name} hh:mm:ss", f"{DAYS[name]} 07:05:59") == moment.replace(second=59)


@pytest.mark.parametrize("name", DAYS)
@pytest.mark.parametrize("change", ["2021", "20", "02020", "year"])
def test_a_day_that_is_not_in_the_calendar_or_format_is_no_day(connection, name, change):
    assert read_day(connection, name, DAYS[name].replace("2020", change)) is None


@pytest.mark.parametrize("name", DAYS)
@pytest.mark.parametrize("around", [" {}", "{} ", "{}x", "{} 07:05", "{}{}"])
def test_text_around_a_day_is_not_overlooked(connection, name, around):
    assert read_day(connection, name, around.replace("{}", DAYS[name])) is None


@pytest.mark.parametrize("name", sorted(set(DAYS) - {"yyyymmdd", "dd-mon-yyyy"}))
def test_days_and_months_may_lack_their_zero(connection, name):
    assert read_day(connection, name, DAYS[name].replace("02", "2", 1) if name[0] == "m" else DAYS[name])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dd.mm.yyyy", "29x02x2020"),
        ("dd.mm.yyyy", "29/02/2020"),
        ("mm/dd/yyyy", "29/02/2020"),
        ("dd/mm/yyyy", "02/29/2020"),
        ("dd-mon-yyyy", "29-Foo-2020"),
    ],
)
def test_a_day_of_another_format_is_no_day(connection, name, text):
    assert read_day(connection, name, text) is None


def value_of(connection, place, text, decimal_comma=False):
    """Return the typed value, or the code of the first check that fails."""
    name, _, field = place.partition(".")
    found = typed(table(name).field(field), "c0", decimal_comma)
    cases = " ".join(f"WHEN {check.condition} THEN '{check.code}'" for check in found.checks)
    code = f"CASE {cases} END" if cases else "NULL"
    row = connection.execute(f"SELECT {code}, {found.sql} FROM (SELECT $1::VARCHAR AS c0)", [text]).fetchone()
    return row[0] or row[1]


NUMBER, WHOLE, SMALL = "measurement.value_as_number", "measurement.person_id", "person.year_of_birth"
DAY, MOMENT, TEXT = (
    "measurement.measurement_date", "measurement.measurement_datetime", "measurement.value_source_value"
)  # fmt: skip


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        (WHOLE, "7", 7),
        (WHOLE, " 7 ", 7),
        (WHOLE, "+7", 7),
        (WHOLE, "-7", -7),
        (WHOLE, "007", 7),
        (WHOLE, "7.", 7),
        (WHOLE, "7.000", 7),
        (WHOLE, "9223372036854775807", 2**63 - 1),
        (WHOLE, "9223372036854775808", "value.overflow"),
        (WHOLE, "7.1", "value.integer"),
        (WHOLE, "7e3", "value.integer"),
        (WHOLE, "0x1F", "value.integer"),
        (WHOLE, "1_000", "value.integer"),
        (WHOLE, "1,000", "value.integer"),
        (WHOLE, "seven", "value.integer"),
        (WHOLE, "--7", "value.integer"),
        (WHOLE, "", None),
        (WHOLE, "NA", None),
        (WHOLE, "NULL", None),
        (WHOLE, r"\N", None),
        (WHOLE, "null", "value.integer"),
        (SMALL, "2147483647", 2**31 - 1),
        (SMALL, "2147483648", "value.overflow"),
        (NUMBER, "0.5", 0.5),
        (NUMBER, ".5", 0.5),
        (NUMBER, "5.", 5.0),
        (NUMBER, "-1.25e-3", -0.00125),
        (NUMBER, "1E6", 1e6),
        (NUMBER, "1e400", "value.overflow"),
        (NUMBER, "nan", "value.number"),
        (NUMBER, "Infinity", "value.number"),
        (NUMBER, "1,5", "value.number"),
        (NUMBER, "1.2.3", "value.number"),
        (NUMBER, "< 5", "value.number"),
        (NUMBER, ".", "value.number"),
        (NUMBER, "", None),
        (DAY, "2020-02-29", date(2020, 2, 29)),
        (DAY, "2020-2-9", date(2020, 2, 9)),
        (DAY, "2020/02/29", date(2020, 2, 29)),
        (DAY, "20200229", date(2020, 2, 29)),
        (DAY, "2020-02-29 07:05:00", date(2020, 2, 29)),
        (DAY, "2020-02-29T07:05:00", date(2020, 2, 29)),
        (DAY, "2021-02-29", "value.date"),
        (DAY, "20210229", "value.date"),
        (DAY, "29.02.2020", "value.date"),
        (DAY, "2020", "value.date"),
        (DAY, "epoch", "value.date"),
        (DAY, "-infinity", "value.date"),
        (DAY, "NA", None),
        (MOMENT, "2020-02-29 07:05:09", datetime(2020, 2, 29, 7, 5, 9)),
        (MOMENT, "2020-02-29T07:05:09", datetime(2020, 2, 29, 7, 5, 9)),
        (MOMENT, "2020-02-29", datetime(2020, 2, 29)),
        (MOMENT, "20200229", datetime(2020, 2, 29)),
        (MOMENT, "2020-02-29 25:00:00", "value.date"),
        (MOMENT, "07:05", "value.date"),
        (TEXT, "NA", "NA"),
        (TEXT, " two words ", " two words "),
        (TEXT, "", None),
    ],
)
def test_a_text_becomes_a_value_or_a_reason(connection, place, text, expected):
    found = value_of(connection, place, text)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"), [("1,5", 1.5), ("1.5", 1.5), ("-0,25", -0.25), ("1.000,5", "value.number")]
)
def test_a_decimal_comma_is_read_where_it_is_declared(connection, text, expected):
    assert value_of(connection, NUMBER, text, decimal_comma=True) == expected


def test_a_declared_absence_replaces_the_usual_ones(connection):
    texts = present("c0", ("-9", "unknown"))
    rows = connection.execute(
        f"SELECT {texts} FROM (VALUES ('-9'), (' unknown '), ('NA'), ('')) t(c0)"
    ).fetchall()

    assert [row[0] for row in rows] == [None, None, "NA", ""]


@pytest.mark.parametrize("name", ["", "A", "1a", 'a"b', "a b", "a;b", "x" * 64, "ä"])
def test_only_names_of_a_specification_become_identifiers(name):
    with pytest.raises(ValueError, match="identifier"):
        duck.name(name)


@pytest.mark.parametrize("text", ["O'Brien", "'; DROP TABLE x; --", "''", "\\", "ä\n", '"'])
def test_a_literal_is_the_text_it_holds(connection, text):
    assert connection.execute(f"SELECT {duck.text(text)}").fetchone() == (text,)


def test_a_literal_holds_no_nul():
    with pytest.raises(ValueError, match="NUL"):
        duck.text("a\0b")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("person.csv", ("person", "csv")),
        ("PERSON.CSV", ("person", "csv")),
        ("person.tsv", ("person", "csv")),
        ("person.txt", ("person", "csv")),
        ("person.csv.gz", ("person", "csv.gz")),
        ("Person.Txt.GZ", ("person", "csv.gz")),
        ("person.parquet", ("person", "parquet")),
        ("person.v2.csv", ("person.v2", "csv")),
        ("person", None),
        ("person.gz", None),
        ("person.xlsx", None),
        ("person.csv.zip", None),
        ("person.parquet.gz", None),
        (".csv", ("", "csv")),
    ],
)
def test_a_file_s_form_is_told_by_its_ending(tmp_path, name, found):
    assert form_of(tmp_path / name) == found


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return source_file(path, tmp_path, 1)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff" * 100])
def test_a_digest_is_that_of_the_bytes(tmp_path, content):
    assert digested(written(tmp_path, "a.csv", content)).digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "has_nul"),
    [
        ("a.csv", b"a\0b", True),
        ("a.csv", b"a,b", False),
        ("a.csv", b"x" * (1 << 20) + b"\0", True),
        ("a.parquet", b"PAR1\0", False),
        ("a.csv.gz", gzip.compress(b"a\0b"), True),
        ("a.csv.gz", gzip.compress(b"a,b"), False),
        ("a.csv.gz", gzip.compress(b"a,b") + gzip.compress(b"\0"), True),
        ("a.csv.gz", gzip.compress(b"a,b") + b"\0" * 9, False),
    ],
    ids=("nul", "none", "late", "parquet", "packed nul", "packed none", "packed late", "padding"),
)
def test_a_nul_is_looked_for_in_text_alone(tmp_path, name, content, has_nul):
    assert digested(written(tmp_path, name, content)).has_nul is has_nul


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        bz2.compress(b"a,b\n"),
        gzip.compress(b"a,b\n" * 999)[:-1],
        gzip.compress(b"a,b\n" * 999)[:30],
        gzip.compress(b"a,b\n")[:-4] + b"\0\0\0\1",
        gzip.compress(b"a,b\n") + b"trailing words",
    ],
    ids=["empty", "plain", "bzip2", "one byte short", "cut", "wrong length", "trailing"],
)
def test_an_archive_that_is_not_whole_is_refused_by_its_place(tmp_path, content):
    file = written(tmp_path, "Miller_John.csv.gz", content)

    with pytest.raises(SourceError) as refused:
        digested(file)

    assert refused.value.code == "source.unreadable"
    assert "file 1" in str(refused.value)
    assert "Miller" not in str(refused.value) + repr(file)


def test_a_batch_is_named_by_all_its_parts_in_order():
    names = {batch_of(parts) for parts in [("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), ("a\udcff",)]}

    assert len(names) == 5
    assert all(name.startswith("sha256:") for name in names)


def checks_of(connection, name, **values):
    """Return the codes and fields of the record's failed checks."""
    spec, today = table(name), date(2024, 6, 30)
    columns = ", ".join(
        f"CAST(${place} AS {field.datatype.duckdb}) AS {field.name}"
        for place, field in enumerate(spec.fields, 1)
    )
    row = [values.get(field.name) for field in spec.fields]
    checks = record_checks(spec, today)
    conditions = ", ".join(f"coalesce({check.condition}, false)" for check in checks)
    found = connection.execute(f"SELECT {conditions} FROM (SELECT {columns})", row).fetchone()
    return {(check.field, check.code) for check, failed in zip(checks, found, strict=True) if failed}


VISIT = {
    "visit_occurrence_id": 1, "person_id": 1, "visit_concept_id": 9201, "visit_type_concept_id": 0,
    "visit_start_date": date(2020, 1, 1), "visit_end_date": date(2020, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"visit_end_date": date(2019, 12, 31)}, {("visit_end_date", "value.order")}),
        ({"visit_end_date": None}, {("visit_end_date", "value.required")}),
        ({"person_id": None}, {("person_id", "value.required")}),
        ({"visit_start_date": date(1799, 12, 31)}, {("visit_start_date", "value.date_range")}),
        ({"visit_start_date": date(1800, 1, 1)}, set()),
        ({"visit_end_date": date(2024, 7, 1)}, set()),
        ({"visit_end_date": date(2024, 7, 2)}, {("visit_end_date", "value.date_range")}),
        ({"visit_end_datetime": datetime(2024, 7, 1, 23, 59)}, set()),
        (
            {"visit_end_datetime": datetime(2024, 7, 2)},
            {("visit_end_datetime", "value.date_range")},
        ),
    ],
)
def test_a_typed_record_is_checked_as_a_whole(connection, changes, expected):
    assert checks_of(connection, "visit_occurrence", **(VISIT | changes)) == expected


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused_also_from_parquet(connection, number):
    found = checks_of(connection, "measurement", value_as_number=number)

    assert ("value_as_number", "value.overflow") in found


def test_dates_of_vocabularies_have_no_bounds(connection):
    assert not [check for check in record_checks(table("concept"), date(2024, 1, 1)) if "range" in check.code]


def test_progress_adds_up_over_files_and_starts_again():
    seen = []
    progress = TableProgress("person", 100, seen.append)
    progress.partly(0.5, 40)
    progress.add(4, 40)
    progress.partly(0.5, 60)
    progress.add(6, 60)
    progress.restart()
    progress.add(9, 100)

    assert [(event.rows, event.bytes_read) for event in seen] == [
        (0, 20),
        (4, 40),
        (4, 70),
        (10, 100),
        (9, 100),
    ]
    assert all(event.rows_per_second >= 0 and event.bytes_total == 100 for event in seen)


def test_a_value_of_text_keeps_its_blanks_and_a_code_of_a_mapping_does_not(connection):
    field = table("measurement").field("value_source_value")

    assert from_text(field, present("c0")).sql != typed(field, "c0").sql
    assert value_of(connection, TEXT, "  x") == "  x"
