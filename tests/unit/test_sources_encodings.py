"""Text arrives whole whatever encoding, separator, line end or packing a hospital's system writes."""

import codecs
import gzip

import pytest

from tests.support.source_files import lines, stage_files

HEADER = ("measurement_id", "person_id", "measurement_concept_id", "measurement_date",
          "measurement_type_concept_id", "value_as_number", "value_source_value")  # fmt: skip
ROWS = [
    ("1", "1", "3", "2020-01-31", "0", "7.5", "Größe µg"),
    ("2", "1", "3", "2020-02-29", "0", "0.25", "naïve"),
]


def written(delimiter: str = ",", end: str = "\n", decimal: str = ".") -> str:
    rows = [(*row[:5], row[5].replace(".", decimal), row[6]) for row in ROWS]
    return "".join(delimiter.join(row) + end for row in [HEADER, *rows])


def staged(tmp_path, content: bytes, name: str = "measurement.csv"):
    return stage_files(tmp_path, {name: content}).rows(
        "measurement", "measurement_id", "value_as_number", "value_source_value"
    )


EXPECTED = [(1, 7.5, "Größe µg"), (2, 0.25, "naïve")]


@pytest.mark.parametrize(
    "content",
    [
        written().encode("utf-8"),
        written().encode("utf-8-sig"),
        written().encode("utf-16"),
        written().encode("utf-16-le"),
        written().encode("utf-16-be"),
        codecs.BOM_UTF16_BE + written().encode("utf-16-be"),
        written().encode("cp1252"),
        written().encode("latin-1"),
        written(end="\r\n").encode("utf-8"),
        written(end="\r").encode("utf-8"),
        written(";").encode("utf-8"),
        written("\t").encode("utf-8"),
        written("|").encode("utf-8"),
        written(";", decimal=",").encode("cp1252"),
        written("\t", decimal=",").encode("utf-8"),
    ],
    ids=[
        "utf-8",
        "bom",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-16-be-bom",
        "cp1252",
        "latin-1",
        "crlf",
        "cr",
        "semicolon",
        "tab",
        "pipe",
        "decimal-comma-cp1252",
        "decimal-comma-tab",
    ],
)
def test_the_same_records_arrive(tmp_path, content):
    assert staged(tmp_path, content) == EXPECTED


def test_a_gzipped_file_gives_the_same_records(tmp_path):
    assert staged(tmp_path, gzip.compress(written().encode()), "MEASUREMENT.CSV.GZ") == EXPECTED


def test_a_gzipped_nul_byte_is_found_too(tmp_path):
    content = written().replace("naïve", "na\0ve").encode()
    found = stage_files(tmp_path, {"measurement.csv.gz": gzip.compress(content)})
    assert found.defects() == [(2, None, "structure.nul")]


def test_damaged_bytes_in_a_utf_8_file_cost_only_their_record(tmp_path):
    content = written().encode() + b"3,1,3,2020-03-01,0,1,\xff\xfe\n"
    found = stage_files(tmp_path, {"measurement.csv": content})
    assert found.defects() == [(3, None, "structure.encoding")]
    assert found.rows("measurement", "measurement_id") == [(1,), (2,)]


def test_a_separator_at_the_end_of_each_line_is_no_further_field(tmp_path):
    content = "".join(line + ",\n" for line in written().splitlines())
    assert staged(tmp_path, content.encode()) == EXPECTED


def test_blank_lines_are_no_records(tmp_path):
    found = stage_files(tmp_path, {"death.csv": lines("person_id,death_date", "", "1,2020-01-01", "", "2,x")})
    assert found.defects() == [(2, "death_date", "value.date")]
    assert found.table("death").read == 2
