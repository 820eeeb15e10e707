"""Every mistake in a mapping is told before a row is read, with its place and the nearest known name."""

import tomllib

import pytest
import yaml

from atoll_node.errors import SourceError
from atoll_node.sources.mapping_file import read_mapping
from tests.support.source_files import lines, stage_files, stage_folder

GOOD = """
format = "atoll-mapping@1"
[vocabularies]
Lab = "the laboratory's own codes"
[[files]]
name = "visits"
path = "visits.csv"
person = "mrn"
date_format = "dd.mm.yyyy"
[[records]]
file = "visits"
table = "measurement"
vocabulary = "Lab"
[records.fields]
measurement_date = "day"
measurement_source_value = { constant = "HB" }
value_as_number = { column = "hb", unit = "g/dL", to = "g/L" }
[[variables]]
name = "hb"
[variables.definition]
kind = "number"
domain = "measurement"
codes = { source_codes = [{ vocabulary = "Lab", code = "HB" }] }
"""
FILES = {"visits.csv": lines("mrn,day,hb", "A1,31.01.2020,12.5")}


def refused(tmp_path, old: str, new: str) -> str:
    assert old in GOOD
    with pytest.raises(SourceError) as caught:
        stage_files(tmp_path, FILES, GOOD.replace(old, new, 1))
    return f"{caught.value.code} {caught.value}"


def test_the_mapping_itself_is_good(tmp_path):
    found = stage_files(tmp_path, FILES, GOOD)
    assert found.rows("measurement", "value_as_number", "unit_source_value") == [(125.0, "g/L")]
    assert found.staged.variables[0].name == "hb"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('person = "mrn"', 'person = "mrn"\nseperator = ","', "files[0].seperator: unknown key"),
        ('person = "mrn"', 'person = "mrn"\ndelimeter = ","', "unknown key; did you mean 'delimiter'?"),
        ('person = "mrn"', 'person = "mrm"', "files[0].person: unknown column 'mrm'; did you mean 'mrn'?"),
        ('"dd.mm.yyyy"', '"dd.mm.yy"', "unknown date format 'dd.mm.yy'; did you mean 'dd.mm.yyyy'?"),
        (
            'person = "mrn"',
            'person = "mrn"\nencoding = "utf8"',
            "unknown encoding 'utf8'; did you mean 'utf-8'?",
        ),
        (
            'file = "visits"',
            'file = "visit"',
            "records[0].file: unknown file 'visit'; did you mean 'visits'?",
        ),
        (
            '"measurement"',
            '"mesurement"',
            "records[0].table: unknown table 'mesurement'; did you mean 'measurement'?",
        ),
        ('"measurement"', '"concept"', "concept is not about persons"),
        (
            '"Lab"\n[records',
            '"Labb"\n[records',
            "records[0].vocabulary: unknown vocabulary 'Labb'; did you mean 'Lab'?",
        ),
        (
            "measurement_date =",
            "measurement_day =",
            "unknown field of measurement; did you mean 'measurement_date'?",
        ),
        ('measurement_date = "day"', "", "records[0].fields: measurement.measurement_date is required"),
        (
            '= "day"',
            '= "dey"',
            "records[0].fields.measurement_date: unknown column 'dey'; did you mean 'day'?",
        ),
        ('column = "hb"', 'column = "bh"', "records[0].fields.value_as_number.column: unknown column 'bh'"),
        ('column = "hb"', 'colum = "hb"', "value_as_number.colum: unknown key; did you mean 'column'?"),
        ('"g/dL"', '"g/dl"', "value_as_number.unit: unknown unit 'g/dl'; did you mean 'g/dL'?"),
        ('"g/L"', '"mmol/L"', "g/dL and mmol/L measure different quantities"),
        ('{ constant = "HB" }', "{ constant = 7 }", "measurement_source_value takes text"),
        (
            '{ constant = "HB" }',
            '{ constant = "HB", column = "hb" }',
            "exactly one of column, constant and year_of",
        ),
        ('{ constant = "HB" }', '"*"', "'*' needs each"),
        ("[records.fields]", '[records.fields]\nperson_id = "mrn"', "person_id is made from"),
        ('{ vocabulary = "Lab",', '{ vocabulary = "Lob",', "variables[0].definition.codes.source_codes[0]"),
        ("format = ", "from = 1\nformat = ", "from: unknown key; did you mean 'format'?"),
        ('"atoll-mapping@1"', '"atoll-mapping@9"', "format: Input should be 'atoll-mapping@1'"),
        ("[[files]]", "[[files]", "line 5"),
    ],
)
def test_a_mistake_is_told(tmp_path, old, new, told):
    assert told in refused(tmp_path, old, new)


def test_all_mistakes_are_told_at_once(tmp_path):
    message = refused(tmp_path, '"measurement"\nvocabulary = "Lab"', '"mesurement"\nvocabulary = "Labb"')
    assert "mesurement" in message
    assert "Labb" in message


def test_a_file_that_is_not_there_is_told_by_its_place(tmp_path):
    message = refused(tmp_path, '"visits.csv"', '"Miller_John.csv"')
    assert "files[0]" in message
    assert "Miller" not in message


def test_a_path_may_not_leave_the_folder(tmp_path):
    assert "files[0].path" in refused(tmp_path, '"visits.csv"', '"../visits.csv"')


def test_a_mapping_in_yaml_is_the_same_mapping(tmp_path):
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump(tomllib.loads(GOOD)), encoding="utf-8")
    toml = stage_files(tmp_path, FILES, GOOD)
    found = stage_folder(tmp_path / "source", tmp_path / "yaml", path)
    assert found.rows("measurement") == toml.rows("measurement")


def test_yaml_that_is_none_is_told_with_its_line(tmp_path):
    path = tmp_path / "mapping.yml"
    path.write_text("format: atoll-mapping@1\nfiles: [\n", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        read_mapping(path)
    assert "line 3" in str(caught.value)


def test_a_dataset_of_flat_files_needs_a_mapping():
    with pytest.raises(SourceError) as caught:
        read_mapping(None)
    assert caught.value.code == "mapping.missing"
