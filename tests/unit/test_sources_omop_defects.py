"""Each defect of an OMOP file is found, named and kept; the records beside it go on."""

import gzip
import stat
from datetime import date

import pytest

from atoll_node.errors import SourceError
from tests.support.source_files import DEATH, MEASUREMENT, PERSON, lines, stage_files

GOOD = "1,8507,1950,0,0"


def person_file(*records: str) -> dict[str, str | bytes]:
    return {"person.csv": lines(PERSON, GOOD, *records)}


def measurement_file(*records: str) -> dict[str, str | bytes]:
    return {"measurement.csv": lines(MEASUREMENT, "1,1,3,2020-01-31,32817,7.5,7.5", *records)}


def balanced(table) -> bool:
    return table.read == table.written + table.quarantined


def test_a_sound_file_is_staged_with_the_fields_and_types_of_the_table(tmp_path):
    found = stage_files(tmp_path, person_file("2,8532,1961,0,0"))
    assert found.rows("person", "person_id", "year_of_birth", "month_of_birth") == [
        (1, 1950, None),
        (2, 1961, None),
    ]
    assert found.staged.quarantined == ()


@pytest.mark.parametrize(
    ("record", "field", "code"),
    [
        ("2,8532,1961,0", None, "structure.ragged"),
        ("2,8532,1961,0,0,0", None, "structure.ragged"),
        ('2,"8532,1961,0,0', None, "structure.quotes"),
        ('2,"8532"x,1961,0,0', None, "structure.quotes"),
        ("2,85\x0032,1961,0,0", None, "structure.nul"),
        ("2,female,1961,0,0", "gender_concept_id", "value.integer"),
        ("2,8532,1961.5,0,0", "year_of_birth", "value.integer"),
        ("2,8532,99999999999,0,0", "year_of_birth", "value.overflow"),
        ("99999999999999999999,8532,1961,0,0", "person_id", "value.overflow"),
        ("2,8532,,0,0", "year_of_birth", "value.required"),
        (",8532,1961,0,0", "person_id", "value.required"),
        ("1,8532,1961,0,0", "person_id", "key.duplicate"),
    ],
)
def test_a_defect_of_a_person_is_caught(tmp_path, record, field, code):
    found = stage_files(tmp_path, person_file(record, "3,8532,1970,0,0"))
    assert found.defects() == [(2, field, code)]
    assert [row[0] for row in found.rows("person", "person_id")] == [1, 3]
    assert balanced(found.table("person"))


@pytest.mark.parametrize(
    ("day", "code"),
    [
        ("2020-02-30", "value.date"),
        ("31.01.2020", "value.date"),
        ("yesterday", "value.date"),
        ("0000-01-01", "value.date_range"),
        ("1799-12-31", "value.date_range"),
        ("2024-07-02", "value.date_range"),
        ("infinity", "value.date"),
        ("", "value.required"),
    ],
)
def test_an_impossible_date_is_caught(tmp_path, day, code):
    found = stage_files(tmp_path, measurement_file(f"2,1,3,{day},32817,1,"))
    assert found.defects() == [(2, "measurement_date", code)]


def test_tomorrow_is_a_date_that_a_clock_ahead_may_write(tmp_path):
    found = stage_files(tmp_path, measurement_file("2,1,3,2024-07-01,32817,1,"))
    assert found.rows("measurement", "measurement_date")[-1] == (date(2024, 7, 1),)


@pytest.mark.parametrize(
    ("number", "code"),
    [("high", "value.number"), ("nan", "value.number"), ("inf", "value.number"), ("1e999", "value.overflow")],
)
def test_a_bad_number_is_caught(tmp_path, number, code):
    found = stage_files(tmp_path, measurement_file(f"2,1,3,2020-01-31,32817,{number},"))
    assert found.defects() == [(2, "value_as_number", code)]


def test_an_end_before_its_start_is_caught(tmp_path):
    header = (
        "observation_period_id,person_id,observation_period_start_date,observation_period_end_date,"
        "period_type_concept_id"
    )
    found = stage_files(
        tmp_path,
        {
            "observation_period.csv": lines(
                header, "1,1,2020-01-02,2020-01-01,0", "2,1,2020-01-01,2020-01-01,0"
            )
        },
    )
    assert found.defects() == [(1, "observation_period_end_date", "value.order")]


def test_a_planned_end_of_a_prescription_may_lie_ahead(tmp_path):
    header = (
        "drug_exposure_id,person_id,drug_concept_id,drug_exposure_start_date,drug_exposure_end_date,"
        "drug_type_concept_id"
    )
    found = stage_files(tmp_path, {"drug_exposure.csv": lines(header, "1,1,5,2024-06-01,2025-06-01,0")})
    assert found.table("drug_exposure").written == 1


def test_a_whole_number_written_with_a_point_is_not_rounded_but_refused(tmp_path):
    found = stage_files(tmp_path, person_file("2,8532,1961.7,0,0"))
    assert found.defects() == [(2, "year_of_birth", "value.integer")]


def test_a_whole_number_with_a_zero_fraction_is_that_number(tmp_path):
    found = stage_files(tmp_path, person_file("2,8532.0,1961.,0,0"))
    assert found.rows("person", "gender_concept_id", "year_of_birth")[1] == (8532, 1961)


def test_a_number_and_its_text_keep_their_values(tmp_path):
    found = stage_files(tmp_path, measurement_file('2,1,3,2020-01-31 08:15:00,32817,-1.25e-3,"a ""b"",\nc"'))
    assert found.rows("measurement", "measurement_date", "value_as_number", "value_source_value")[0] == (
        date(2020, 1, 31), -0.00125, 'a "b",\nc',
    )  # fmt: skip


def test_a_quote_that_never_closes_takes_only_its_own_line(tmp_path):
    rest = "1,3,2020-01-31,32817,1"
    found = stage_files(tmp_path, measurement_file(f'2,{rest},"open', f'3,{rest},"shut"', f"4,{rest},x"))
    assert found.defects() == [(2, None, "structure.quotes")]
    assert [row[0] for row in found.rows("measurement", "measurement_id")] == [1, 3, 4]


def test_a_field_over_two_lines_beside_a_broken_record_stays_whole(tmp_path):
    found = stage_files(tmp_path, measurement_file('2,1,3,2020-01-31,32817,1,"two\nlines"', "3,1"))
    assert found.rows("measurement", "value_source_value")[1] == ("two\nlines",)
    assert found.defects() == [(3, None, "structure.ragged")]


def test_the_first_of_records_with_one_key_stays_also_over_several_files(tmp_path):
    found = stage_files(
        tmp_path,
        {
            "person/part-1.csv": lines(PERSON, GOOD),
            "person/part-2.csv": lines(PERSON, "1,8532,1999,0,0", "2,8532,1970,0,0"),
        },
    )
    assert found.rows("person", "person_id", "year_of_birth") == [(1, 1950), (2, 1970)]
    assert [(q.file, q.record, q.code) for q in found.staged.quarantined] == [
        ("person/part-2.csv", 1, "key.duplicate")
    ]


def test_a_table_without_a_primary_key_is_told_apart_by_its_natural_key(tmp_path):
    found = stage_files(tmp_path, {"death.csv": lines(DEATH, "1,2020-01-01", "1,2020-02-01")})
    assert found.defects() == [(2, "person_id", "key.duplicate")]


def test_a_record_without_its_person_is_not_for_quarantine(tmp_path):
    found = stage_files(tmp_path, {**person_file(), **measurement_file("2,999,3,2020-01-31,32817,1,")})
    assert found.table("measurement").written == 2


def test_an_empty_file_is_told_and_the_rest_goes_on(tmp_path):
    found = stage_files(tmp_path, {**person_file(), "death.csv": b"", "measurement.csv": MEASUREMENT + "\n"})
    assert found.table("death").read == 0
    assert found.table("measurement").read == 0
    assert "file.empty" in found.warnings()
    assert "file.header_only" in found.warnings()
    assert found.table("person").written == 1


def test_a_column_that_stands_twice_sends_every_record_of_the_file_to_quarantine(tmp_path):
    found = stage_files(
        tmp_path, {"death.csv": lines("person_id,death_date,DEATH_DATE", "1,2020-01-01,2020-01-02", "2,,")}
    )
    assert found.defects() == [
        (1, "death_date", "structure.duplicate_header"),
        (2, "death_date", "structure.duplicate_header"),
    ]
    assert balanced(found.table("death"))
    assert found.kept()[0]["values"] == {
        "person_id": "1", "death_date": "2020-01-01", "DEATH_DATE": "2020-01-02",
    }  # fmt: skip


def test_an_unknown_column_is_told_with_the_nearest_name_and_not_loaded(tmp_path):
    found = stage_files(
        tmp_path, {"death.csv": lines("person_id,death_date,deth_datetime", "1,2020-01-01,x")}
    )
    (warning,) = found.staged.warnings
    assert warning.code == "column.unknown"
    assert warning.text.endswith("deth_datetime; did you mean death_datetime?")
    assert found.table("death").written == 1


def test_an_unknown_file_is_told_with_the_nearest_table(tmp_path):
    found = stage_files(tmp_path, {**person_file(), "measurements.csv": "a\n", "notes.docx": b"PK"})
    assert [(w.code, w.file) for w in found.staged.warnings] == [
        ("file.unknown", "measurements.csv"),
        ("file.unknown", "notes.docx"),
    ]
    assert "did you mean measurement?" in found.staged.warnings[0].text


def test_a_folder_without_any_table_is_refused(tmp_path):
    with pytest.raises(SourceError) as caught:
        stage_files(tmp_path, {"Miller_John.csv": "a\n"})
    assert caught.value.code == "source.nothing"
    assert "Miller" not in str(caught.value)


def test_a_broken_archive_is_named_by_its_place_and_not_by_its_name(tmp_path):
    whole = gzip.compress(lines(PERSON, *[f"{n},8507,1950,0,0" for n in range(50_000)]).encode())
    with pytest.raises(SourceError) as caught:
        stage_files(tmp_path, {"person/Miller_John.csv.gz": whole[: len(whole) // 2]})
    assert "file 1" in str(caught.value)
    assert "Miller" not in str(caught.value)
    assert "Miller" not in repr(caught.value.__cause__)


def test_the_quarantined_record_is_kept_whole_where_only_the_owner_reads(tmp_path):
    found = stage_files(tmp_path, person_file("2,female,1961,0,0", "3,8532"))
    kept = found.kept()
    assert kept[0]["text"] == "3,8532"
    assert kept[1]["values"]["gender_concept_id"] == "female"
    assert kept[1]["record"] == 2
    (file,) = found.quarantine.rglob("*.jsonl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.parent == found.quarantine / "trial" / found.staged.batch.removeprefix("sha256:")


def test_a_reason_is_constant_and_holds_no_value(tmp_path):
    found = stage_files(tmp_path, person_file("2,SECRET,1961,0,0"))
    assert "SECRET" not in repr(found.staged)


def test_fields_of_cdm_5_3_take_their_names_of_5_4(tmp_path):
    header = (
        "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id,"
        "admitting_source_concept_id,admitting_source_value,discharge_to_concept_id,discharge_to_source_value"
    )
    found = stage_files(
        tmp_path,
        {"VISIT_OCCURRENCE.csv": lines(header, "1,1,9201,2020-01-01,2020-01-02,0,8863,home,8717,ward")},
    )
    fields = ("admitted_from_concept_id", "admitted_from_source_value", "discharged_to_concept_id",
              "discharged_to_source_value")  # fmt: skip
    assert found.rows("visit_occurrence", *fields) == [(8863, "home", 8717, "ward")]
    assert found.warnings() == []


def test_metadata_of_cdm_5_3_has_no_key_and_is_numbered(tmp_path):
    header = "metadata_concept_id,metadata_type_concept_id,name,value_as_string"
    found = stage_files(tmp_path, {"metadata.csv": lines(header, "0,0,a,b", "0,0,c,d")})
    assert found.rows("metadata", "metadata_id", "name") == [(1, "a"), (2, "c")]


def test_dates_of_a_vocabulary_may_lie_ahead_and_come_as_athena_writes_them(tmp_path):
    header = (
        "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\t"
        "valid_start_date\tvalid_end_date"
    )
    found = stage_files(
        tmp_path, {"CONCEPT.csv": lines(header, "1\tA\tDrug\tRxNorm\tIngredient\tS\t161\t19700101\t20991231")}
    )
    assert found.rows("concept", "valid_start_date", "valid_end_date") == [
        (date(1970, 1, 1), date(2099, 12, 31))
    ]


def test_the_batch_names_the_content_and_not_the_day(tmp_path):
    first = stage_files(tmp_path / "a", person_file())
    again = stage_files(tmp_path / "b", person_file())
    other = stage_files(tmp_path / "c", person_file("2,8507,1950,0,0"))
    assert first.staged.batch == again.staged.batch
    assert first.staged.batch != other.staged.batch


def test_progress_tells_the_table_and_the_bytes(tmp_path):
    found = stage_files(tmp_path, person_file())
    last = found.events[-1]
    assert (last.table, last.rows) == ("person", 1)
    assert last.bytes_read == last.bytes_total


def test_a_first_line_that_is_no_header_is_refused_without_its_values(tmp_path):
    with pytest.raises(SourceError) as refused:
        stage_files(tmp_path, {"person.csv": "7001,8507,Zweig\n7002,8532,Other\n"})

    assert refused.value.code == "source.header"
    assert "Zweig" not in str(refused.value)
