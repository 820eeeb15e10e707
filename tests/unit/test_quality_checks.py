"""Each quality check finds its fault, and tells no number about it."""

from datetime import date

import duckdb
import pyarrow.parquet as pq
import pytest

from atoll_node.quality.checks import CHECKS, blockers, judged
from atoll_node.quality.duckdb_adapter import _COUNTS, count_faults, vocabulary_version
from tests.support.lake import arrow_of

PERSON = {"person_id": 1, "gender_concept_id": 8507, "year_of_birth": 1950, "race_concept_id": 0,
          "ethnicity_concept_id": 0}  # fmt: skip
PERIOD = {"observation_period_id": 1, "person_id": 1, "observation_period_start_date": date(2015, 1, 1),
          "observation_period_end_date": date(2016, 1, 1), "period_type_concept_id": 1}  # fmt: skip
VISIT = {"visit_occurrence_id": 1, "person_id": 1, "visit_concept_id": 9201, "visit_type_concept_id": 1,
         "visit_start_date": date(2015, 5, 1), "visit_end_date": date(2015, 5, 2)}  # fmt: skip


@pytest.fixture
def entries(tmp_path):
    def found(**tables):
        sound = {"person": [PERSON], "observation_period": [PERIOD], "visit_occurrence": [VISIT]} | tables
        files = {}
        for name, rows in sound.items():
            pq.write_table(arrow_of(name, rows), tmp_path / f"{name}.parquet")
            files[name] = (tmp_path / f"{name}.parquet",)
        with duckdb.connect() as connection:
            return {entry.check: entry for entry in judged(count_faults(connection, files, year=2026))}

    return found


def test_sound_tables_pass_every_check(entries):
    found = entries()

    assert set(found) == {check.name for check in CHECKS}
    assert all(entry.passed for entry in found.values())


@pytest.mark.parametrize(
    "check, tables",
    [
        ("unique_keys", {"visit_occurrence": [VISIT, VISIT]}),
        ("required_fields", {"visit_occurrence": [VISIT | {"visit_concept_id": None}]}),
        ("known_persons", {"visit_occurrence": [VISIT, VISIT | {"visit_occurrence_id": 2, "person_id": 9}]}),
        ("observed_persons", {"person": [PERSON, PERSON | {"person_id": 2}]}),
        ("inside_observation", {"visit_occurrence": [VISIT | {"visit_start_date": date(2014, 1, 1)}]}),
        ("ends_after_start", {"visit_occurrence": [VISIT | {"visit_end_date": date(2015, 4, 30)}]}),
        ("plausible_birth", {"person": [PERSON | {"year_of_birth": 2031}]}),
    ],
)
def test_a_fault_fails_its_check_and_names_the_table(entries, check, tables):
    found = entries(**tables)

    assert not found[check].passed
    assert next(iter(tables)) in found[check].description


def test_an_entry_carries_no_count(entries):
    many = [VISIT | {"visit_occurrence_id": n, "person_id": 9} for n in range(777)]

    assert "777" not in str(entries(visit_occurrence=many))


def test_only_doubled_keys_forbid_a_release(entries):
    doubled = entries(visit_occurrence=[VISIT, VISIT])
    late = entries(visit_occurrence=[VISIT | {"visit_start_date": date(2014, 1, 1)}])

    assert [entry.check for entry in blockers(doubled.values())] == ["unique_keys"]
    assert blockers(late.values()) == ()


def test_every_check_is_counted():
    assert [check.name for check in CHECKS] == list(_COUNTS)


@pytest.mark.parametrize(
    "written, told", [("v5.0 31-AUG-23", "v5.0 31-AUG-23"), ("Dr Smith's copy", None), (None, None)]
)
def test_a_vocabulary_version_is_told_only_in_its_form(tmp_path, written, told):
    rows = [{"vocabulary_id": "None", "vocabulary_name": "OMOP", "vocabulary_version": written}]
    pq.write_table(arrow_of("vocabulary", rows), tmp_path / "vocabulary.parquet")

    with duckdb.connect() as connection:
        assert vocabulary_version(connection, {"vocabulary": (tmp_path / "vocabulary.parquet",)}) == told
        assert vocabulary_version(connection, {}) is None
