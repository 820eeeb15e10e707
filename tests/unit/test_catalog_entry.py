"""A catalog entry holds cleared figures only, and names only what the vocabulary names."""

from datetime import date
from pathlib import Path

import pytest

from atoll_node.catalog import describe, profile_of
from atoll_node.catalog.duckdb_adapter import opened
from atoll_node.disclosure import clear_parts
from atoll_node.errors import LakeError
from atoll_node.release import Release
from atoll_node.settings import EngineSettings, GateSettings
from atoll_schemas.catalog import CatalogEntry, ConceptEntry
from atoll_schemas.cells import Counted, Withheld
from tests.support.lake import release_of

SETTINGS = EngineSettings(memory="500MB", threads=1)


def a_release(folder: Path) -> Release:
    """100 persons; 50 with a mapped condition, 5 with a rare one, 30 with a code that has no concept."""
    persons = [
        {"person_id": n, "gender_concept_id": 8507 if n % 2 else 8532, "year_of_birth": 1950}
        for n in range(100)
    ]
    conditions = [
        {
            "condition_occurrence_id": n,
            "person_id": n,
            "condition_concept_id": 201 if n < 50 else 202 if n < 55 else 0,
            "condition_source_value": "C18" if n >= 55 else "typed by hand",
            "condition_start_date": date(2001 if n < 60 else 2003 if n < 80 else 2009, 5, 1),
            "condition_type_concept_id": 1,
        }
        for n in range(85)
    ]
    concepts = [
        {
            "concept_id": 201,
            "concept_name": "Malignant tumor of colon",
            "vocabulary_id": "SNOMED",
            "concept_code": "363406005",
        }
    ]
    vocabulary = [
        {"vocabulary_id": "None", "vocabulary_name": "OMOP", "vocabulary_version": "v5.0 30-JUN-26"}
    ]
    return release_of(
        {
            "person": persons,
            "condition_occurrence": conditions,
            "concept": concepts,
            "vocabulary": vocabulary,
            "concept_ancestor": [],
        },
        folder,
    )


@pytest.fixture
def entry(tmp_path: Path) -> CatalogEntry:
    release = a_release(tmp_path)
    with opened(release, SETTINGS) as view:
        profile = profile_of(view, release)
    return describe(
        profile,
        release,
        title="Test",
        description="Made up",
        settings=GateSettings(),
        clear_parts=clear_parts,
    )


def concept(entry: CatalogEntry, number: int) -> ConceptEntry | None:
    return next((one for one in entry.concepts if one.concept_id == number and one.table != "person"), None)


def test_it_counts_persons_and_rows(entry: CatalogEntry) -> None:
    assert entry.persons == Counted(value=100)
    table = next(table for table in entry.tables if table.name == "condition_occurrence")
    assert (table.persons, table.rows) == (Counted(value=85), Counted(value=85))


def test_tables_without_persons_are_named_when_they_hold_rows(entry: CatalogEntry) -> None:
    assert entry.shared_tables == ("concept", "vocabulary")


def test_a_concept_carries_the_name_that_the_vocabulary_gives_it(entry: CatalogEntry) -> None:
    found = concept(entry, 201)
    assert found is not None
    assert (found.name, found.vocabulary, found.code) == ("Malignant tumor of colon", "SNOMED", "363406005")
    assert isinstance(found.persons, Counted)


def test_a_concept_of_few_persons_is_absent(entry: CatalogEntry) -> None:
    assert concept(entry, 202) is None


def test_what_has_no_concept_is_listed_by_its_code(entry: CatalogEntry) -> None:
    found = concept(entry, 0)
    assert found is not None
    assert (found.code, found.name) == ("C18", None)


def test_the_source_text_of_a_mapped_record_is_not_listed(entry: CatalogEntry) -> None:
    assert b"typed by hand" not in entry.canonical()


def test_rows_of_rare_concepts_cannot_be_worked_out(entry: CatalogEntry) -> None:
    shown = [one.rows for one in entry.concepts if one.table == "condition_occurrence"]
    held_back = 85 - sum(cell.value - cell.half_width for cell in shown if isinstance(cell, Counted))
    assert held_back >= 9


def test_years_that_would_show_a_small_year_are_absent_with_it(entry: CatalogEntry) -> None:
    assert [year.year for year in entry.years] == [2001]
    assert (entry.first_year, entry.last_year) == (2001, 2001)


def test_it_names_the_vocabulary_and_the_minimum(entry: CatalogEntry) -> None:
    assert entry.vocabulary_version == "v5.0 30-JUN-26"
    assert entry.gate_minimum_persons == 10


def test_a_field_that_few_persons_lack_is_coarse_or_withheld(entry: CatalogEntry) -> None:
    table = next(table for table in entry.tables if table.name == "person")
    filled = {field.name: field.filled for field in table.fields}
    assert filled["person_id"] == Counted(value=100)
    assert isinstance(filled["month_of_birth"], Withheld)


def test_an_entry_of_few_persons_withholds_every_figure(tmp_path: Path) -> None:
    persons = [{"person_id": n, "gender_concept_id": 8507, "year_of_birth": 1950} for n in range(9)]
    release = release_of({"person": persons}, tmp_path)
    with opened(release, SETTINGS) as view:
        profile = profile_of(view, release)
    entry = describe(
        profile, release, title="Few", description="", settings=GateSettings(), clear_parts=clear_parts
    )
    assert b'"counted"' not in entry.canonical()
    assert entry.concepts == ()


def test_the_connection_reads_nothing_but_the_release(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    with opened(a_release(tmp_path), SETTINGS) as view, pytest.raises(LakeError):
        view.rows(f"select * from read_csv('{other}')")


def test_a_failed_count_tells_no_value(tmp_path: Path) -> None:
    with opened(a_release(tmp_path), SETTINGS) as view, pytest.raises(LakeError) as caught:
        view.rows("select condition_source_value::integer from condition_occurrence")
    assert "C18" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_profile_is_not_printed(tmp_path: Path) -> None:
    release = a_release(tmp_path)
    with opened(release, SETTINGS) as view:
        assert repr(profile_of(view, release)) == "<Profile: raw, not shown>"
