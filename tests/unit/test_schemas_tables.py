"""The tables of core@1 are the published ones, typed for pseudonyms, and say what every field may reveal."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from atoll_schemas.query import Domain
from atoll_schemas.tables import (
    DOMAIN_OF_TABLE,
    DOMAINS,
    PERSON_TABLES,
    Content,
    Datatype,
    Field,
    Table,
    UnknownField,
    UnknownTable,
    core_1,
    table,
)
from tests.support.shared_data import shared

PROJECT = Path(__file__).resolve().parents[2]
TABLES = core_1().tables
ADDED = {"genomics", "trial"}
PUBLISHED = [t for t in TABLES if t.group not in ADDED]
OMOP = [t for t in PUBLISHED if t.group != "imaging"]
FIELDS = [(t, f) for t in TABLES for f in t.fields]


def place(pair: tuple[Table, Field]) -> str:
    return f"{pair[0].name}.{pair[1].name}"


def generator() -> ModuleType:
    specification = importlib.util.spec_from_file_location(
        "make_table_specs", PROJECT / "tools" / "make_table_specs.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_omop_has_39_tables_and_432_fields():
    assert len(OMOP) == 39
    assert sum(len(t.fields) for t in OMOP) == 432


def test_medical_imaging_has_2_tables_and_23_fields():
    imaging = [t for t in TABLES if t.group == "imaging"]
    assert [t.name for t in imaging] == ["image_occurrence", "image_feature"]
    assert sum(len(t.fields) for t in imaging) == 23


def test_variants_and_trials_are_added():
    added = [t.name for t in TABLES if t.group in ADDED]
    assert added == [
        "variant_occurrence",
        "trial",
        "trial_arm",
        "trial_subject",
        "trial_epoch",
        "trial_exposure",
        "trial_endpoint",
    ]


def test_names_are_unique_and_lower_case():
    assert len({t.name for t in TABLES}) == len(TABLES)
    for t in TABLES:
        assert len(set(t.names)) == len(t.fields), t.name
        assert all(name == name.lower() and name.isidentifier() for name in t.names), t.name


@pytest.mark.parametrize("pair", FIELDS, ids=place)
def test_every_integer_that_names_something_is_int64(pair):
    _, field = pair
    names_something = field.primary_key or field.foreign_table or field.name.endswith("_id")
    if names_something and field.datatype is not Datatype.VARCHAR:
        assert field.datatype is Datatype.BIGINT
    else:
        assert field.datatype is not Datatype.BIGINT or field.name.startswith("fact_id_")


def test_every_concept_id_is_int64_and_marked_as_a_concept():
    concepts = [(t, f) for t, f in FIELDS if "concept_id" in f.name]
    assert len(concepts) > 120
    for _, field in concepts:
        assert field.datatype is Datatype.BIGINT
        assert field.content is Content.CONCEPT


def test_the_types_are_the_ones_that_duckdb_and_delta_know():
    assert table("person").field("person_id").datatype.duckdb == "BIGINT"
    assert table("person").field("year_of_birth").datatype.duckdb == "INTEGER"
    assert table("measurement").field("value_as_number").datatype.duckdb == "DOUBLE"
    assert table("measurement").field("measurement_date").datatype.duckdb == "DATE"
    assert table("measurement").field("measurement_datetime").datatype.duckdb == "TIMESTAMP"
    assert table("note").field("note_text").datatype.duckdb == "VARCHAR"
    assert [d.delta for d in Datatype] == ["long", "integer", "double", "date", "timestamp_ntz", "string"]


def test_text_has_a_length_unless_the_standard_leaves_it_open():
    assert table("person").field("person_source_value").length == 50
    assert table("note").field("note_text").length is None
    assert all(f.length is None for _, f in FIELDS if f.datatype is not Datatype.VARCHAR)


def test_foreign_keys_lead_to_fields_that_exist():
    for t, field in FIELDS:
        if field.foreign_table is not None:
            assert field.foreign_field is not None, place((t, field))
            core_1().table(field.foreign_table).field(field.foreign_field)


def test_every_table_has_a_key_by_which_rows_are_merged():
    for t in TABLES:
        assert t.key, t.name
        assert all(t.has(name) for name in t.key)


def test_person_tables_are_those_whose_rows_name_a_person():
    assert tuple(t.name for t in TABLES if t.person_scoped) == PERSON_TABLES
    for name in PERSON_TABLES:
        person = table(name).person_field
        assert person is not None
        assert table(name).field(person).datatype is Datatype.BIGINT


def test_a_linked_table_reaches_its_person_through_one_reference():
    linked = [t for t in TABLES if t.scope == "linked"]
    assert [t.name for t in linked] == ["note_nlp", "episode_event"]
    for t in linked:
        assert t.link is not None
        assert t.has(t.link.field)
        assert table(t.link.table).person_scoped


def test_no_text_about_a_patient_passes_by_default():
    kept = {Content.CODE, Content.STRUCTURAL}
    for t, field in FIELDS:
        if field.datatype is not Datatype.VARCHAR or field.content not in kept:
            continue
        coded = field.name.endswith("_source_value") or t.group in {"vocabulary", "genomics", "trial"}
        named = place((t, field)) in {
            "location.state",
            "cost.cost_domain_id",
            "note_nlp.nlp_system",
            "note_nlp.term_exists",
            "cdm_source.cdm_source_abbreviation",
            "cdm_source.cdm_version",
            "cdm_source.vocabulary_version",
        }
        assert coded or named, place((t, field))


@pytest.mark.parametrize(
    "path",
    [
        "note.note_text",
        "note.note_title",
        "drug_exposure.sig",
        "observation.value_as_string",
        "note_nlp.snippet",
        "condition_occurrence.stop_reason",
    ],
)
def test_typed_words_are_free_text(path):
    name, field = path.split(".")
    assert table(name).field(field).free_text


@pytest.mark.parametrize(
    "path",
    [
        "person.person_source_value",
        "provider.provider_name",
        "location.address_1",
        "location.zip",
        "care_site.care_site_name",
        "device_exposure.unique_device_id",
        "image_occurrence.local_path",
        "image_occurrence.image_study_uid",
        "trial_subject.subject_source_value",
    ],
)
def test_what_identifies_is_a_direct_identifier(path):
    name, field = path.split(".")
    assert table(name).field(field).direct_identifier


def test_source_codes_are_codes():
    assert table("condition_occurrence").field("condition_source_value").content is Content.CODE
    assert table("measurement").field("value_source_value").content is Content.CODE


def test_every_day_in_a_life_is_a_date_or_a_birth():
    temporal = {Datatype.DATE, Datatype.TIMESTAMP}
    for t, field in FIELDS:
        if field.datatype in temporal and t.scope != "shared":
            assert field.content in {Content.DATE, Content.BIRTH}, place((t, field))


def test_person_source_value_is_not_needed_to_name_a_person():
    assert [f.name for f in table("person").fields if f.person_key] == ["person_id"]
    assert table("cohort").person_field == "subject_id"


def test_each_domain_names_fields_that_its_table_has():
    for name, domain in DOMAINS.items():
        spec = table(domain.table)
        for part in ("key", "start_date", "person"):
            assert spec.has(getattr(domain, part)), name
        for part in (
            "end_date",
            "concept",
            "source_value",
            "source_concept",
            "type_concept",
            "value_number",
            "value_concept",
            "value_source",
            "unit_concept",
        ):
            field = getattr(domain, part)
            assert field is None or spec.has(field), f"{name}.{part}"
        assert spec.field(domain.start_date).datatype is Datatype.DATE


def test_every_domain_of_the_query_language_has_a_table():
    assert set(Domain.__args__) <= set(DOMAINS)
    assert DOMAIN_OF_TABLE["drug_exposure"] == "drug"


def test_an_unknown_table_names_the_nearest_one():
    with pytest.raises(UnknownTable, match="did you mean drug_exposure"):
        table("drug_exposures")


def test_an_unknown_field_names_the_nearest_one():
    with pytest.raises(UnknownField, match="did you mean person_id"):
        table("person").field("personid")


def test_a_name_far_from_all_gets_no_guess():
    with pytest.raises(UnknownTable, match=r"has no table 'zzz'$"):
        table("zzz")


@pytest.mark.shared
def test_the_shipped_tables_are_those_that_the_definitions_give():
    fresh = generator()
    definitions = shared("standards/omop/OMOP_CDMv5.4_Field_Level.csv").parents[1]
    assert fresh.main([str(definitions), "--check"]) == 0
    assert fresh.data_model(definitions) == core_1()


@pytest.mark.shared
def test_the_table_list_is_the_published_one():
    import csv

    file = shared("standards/omop/OMOP_CDMv5.4_Table_Level.csv")
    with file.open(encoding="utf-8-sig", newline="") as lines:
        published = [row["cdmTableName"].lower() for row in csv.DictReader(lines)]
    assert sorted(published) == sorted(t.name for t in OMOP)


def test_an_unknown_datatype_in_a_definition_is_refused():
    row = {
        "cdmTableName": "person",
        "cdmFieldName": "person_id",
        "cdmDatatype": "blob",
        "isPrimaryKey": "No",
        "isForeignKey": "No",
    }
    with pytest.raises(ValueError, match=r"person\.person_id: unknown datatype"):
        generator().datatype_of(row)


def test_importing_the_tables_does_not_load_them():
    code = (
        "import atoll_schemas, atoll_schemas.tables as t; "
        "assert t.core.core_1.cache_info().currsize == 0; t.core_1(); "
        "assert t.core.core_1.cache_info().currsize == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_model_is_loaded_once():
    assert core_1() is core_1()


def test_a_table_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        table("person").name = "people"
