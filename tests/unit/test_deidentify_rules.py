"""What each rule of de-identification makes of a value, and what the hospital reads about it."""

import hashlib
import hmac
import shutil
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from atoll_node.deidentify.page import page
from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Kind, Pseudonyms
from atoll_node.deidentify.rules import RULES, Person, deidentified, described, rule_for
from atoll_node.deidentify.sql import COMPILED
from atoll_node.errors import SettingsError
from atoll_node.loading import RULES_VERSION
from atoll_node.settings import DatasetSettings
from atoll_schemas.tables import Content, core_1, table

KEY = bytes(range(32))
SITE_A = Pseudonyms(KEY, "atoll-a")
ROOT = Path(__file__).resolve().parents[2]
UNSHIFTED = Policy(date_shift=False)


def dataset(**settings):
    return DatasetSettings(name="d", title="D", format="omop", path=Path("data"), **settings)


def cleaned(name, row, *, person=Person(0), policy=UNSHIFTED):
    return deidentified(table(name), row, person=person, pseudonyms=SITE_A, policy=policy)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="SKIPPED: there is no openssl command here")
def test_a_pseudonym_is_the_number_encrypted_under_a_derived_key():
    """By the command of OpenSSL, which knows nothing of this module."""
    derived = hmac.new(KEY, b"atoll|atoll-a|pseudonym|person", hashlib.sha256).digest()
    block = bytes(8) + (40).to_bytes(8, "big")
    made = subprocess.run(
        ["openssl", "enc", "-aes-256-ecb", "-nopad", "-K", derived.hex()],
        input=block, capture_output=True, check=True,
    ).stdout  # fmt: skip

    assert SITE_A.of(Kind.PERSON, 40) == int.from_bytes(made[:8], "big") & (2**63 - 1)


def test_pseudonyms_stay_what_they_are():
    """A change of one parts new rows from old ones, which only a new version tells."""
    assert RULES_VERSION == "deidentify@2"
    assert [SITE_A.of(Kind.PERSON, number) for number in (1, -1, 2**62)] == [
        7322907181260153764,
        3466049029348424963,
        1531158188481562920,
    ]


def test_sites_keys_and_kinds_give_unrelated_pseudonyms():
    found = {
        SITE_A.of(Kind.PERSON, 7),
        SITE_A.of(Kind.PROVIDER, 7),
        Pseudonyms(KEY, "atoll-b").of(Kind.PERSON, 7),
        Pseudonyms(bytes(32), "atoll-a").of(Kind.PERSON, 7),
    }

    assert len(found) == 4


def test_a_hundred_thousand_pseudonyms_are_distinct_and_positive():
    found = SITE_A.of_many(Kind.PERSON, np.arange(100_000, dtype=np.int64))

    assert len(np.unique(found)) == 100_000
    assert found.min() > 0


def test_a_short_key_is_refused():
    with pytest.raises(SettingsError):
        Pseudonyms(b"short", "atoll-a")


def test_the_key_is_not_shown():
    assert KEY.hex() not in repr(SITE_A)
    assert repr(SITE_A) == "Pseudonyms(site='atoll-a')"


def test_a_shift_is_never_zero_and_uses_the_whole_range():
    shifts = {SITE_A.date_shift(person, 3) for person in range(200)}

    assert {-3, -2, -1, 1, 2, 3} == shifts


def test_a_shift_keeps_intervals_between_days_and_moments():
    row = {
        "person_id": 1,
        "visit_start_date": date(2020, 2, 28),
        "visit_end_date": date(2020, 3, 2),
        "visit_start_datetime": datetime(2020, 2, 28, 8, 30),
    }

    found = cleaned("visit_occurrence", row, person=Person(-40), policy=Policy())

    assert date(2020, 1, 19) == found["visit_start_date"]
    assert row["visit_end_date"] - row["visit_start_date"] == (
        found["visit_end_date"] - found["visit_start_date"]
    )
    assert datetime(2020, 1, 19, 8, 30) == found["visit_start_datetime"]


@pytest.mark.parametrize(
    "born, last, expected",
    [
        (1930, date(2019, 6, 1), 1930),  # 89 in the year of the last record
        (1930, date(2020, 6, 1), 1930),  # 90: the class of the oldest already
        (1915, date(2020, 6, 1), 1930),  # 105 becomes 90
        (1915, None, 1915),
    ],
)
def test_ages_over_89_become_90(born, last, expected):
    found = cleaned("person", {"person_id": 1, "year_of_birth": born}, person=Person(0, last))

    assert expected == found["year_of_birth"]


def test_the_age_cap_can_be_switched_off_for_data_of_nobody():
    row = {"person_id": 1, "year_of_birth": 1900}

    found = cleaned(
        "person", row, person=Person(0, date(2020, 1, 1)), policy=Policy(date_shift=False, cap_ages=False)
    )

    assert found["year_of_birth"] == 1900


def test_of_a_birth_date_only_the_shifted_year_stays():
    row = {"person_id": 1, "year_of_birth": 1970, "month_of_birth": 1, "day_of_birth": 10}

    found = cleaned("person", row, person=Person(-30), policy=Policy())

    assert found["year_of_birth"] == 1969
    assert found["month_of_birth"] is found["day_of_birth"] is found["birth_datetime"] is None


def test_an_impossible_birth_day_falls_back_to_the_middle_of_the_year():
    row = {"person_id": 1, "year_of_birth": 1970, "month_of_birth": 2, "day_of_birth": 31}

    assert cleaned("person", row)["year_of_birth"] == 1970


def test_references_join_across_tables():
    visit = cleaned("visit_occurrence", {"visit_occurrence_id": 5, "person_id": 1, "provider_id": 5})
    lab = cleaned("measurement", {"measurement_id": 9, "person_id": 1, "visit_occurrence_id": 5})
    provider = cleaned("provider", {"provider_id": 5})

    assert visit["visit_occurrence_id"] == lab["visit_occurrence_id"]
    assert visit["person_id"] == lab["person_id"]
    assert visit["provider_id"] == provider["provider_id"] != visit["visit_occurrence_id"]


def test_a_fact_finds_its_person_and_its_record():
    fact = cleaned(
        "fact_relationship",
        {"domain_concept_id_1": 56, "fact_id_1": 1, "domain_concept_id_2": 21, "fact_id_2": 9},
    )

    assert SITE_A.of(Kind.PERSON, 1) == fact["fact_id_1"]
    assert SITE_A.of(Kind.RECORD, 9) == fact["fact_id_2"]


def test_names_addresses_and_typed_words_are_dropped():
    person = cleaned("person", {"person_id": 1, "person_source_value": "MRN-77"})
    place = cleaned("location", {"location_id": 1, "address_1": "Elm 5", "zip": "12345", "state": "OH"})
    note = cleaned("note", {"note_id": 1, "person_id": 1, "note_text": "Mr X came", "note_title": "X"})

    assert person["person_source_value"] is None
    assert (place["address_1"], place["zip"], place["state"]) == (None, None, "OH")
    assert note["note_text"] is note["note_title"] is None


def test_text_stays_where_the_hospital_declared_it_safe():
    policy = Policy.of(dataset(safe_text=("note.note_title",)))

    found = cleaned("note", {"note_id": 1, "note_title": "Discharge", "note_text": "words"}, policy=policy)

    assert (found["note_title"], found["note_text"]) == ("Discharge", None)


@pytest.mark.parametrize("written, kept", [("E11.9", True), ("x" * 51, False), ("two\nlines", False)])
def test_a_code_stays_only_in_the_shape_of_a_code(written, kept):
    found = cleaned("condition_occurrence", {"condition_occurrence_id": 1, "condition_source_value": written})

    assert (written if kept else None) == found["condition_source_value"]


@pytest.mark.parametrize(
    "place, says",
    [
        ("note.note_titel", "did you mean note_title?"),
        ("notes.note_title", "did you mean note?"),
        ("person.person_source_value", "is not free text"),
    ],
)
def test_only_a_known_text_field_can_be_declared_safe(place, says):
    with pytest.raises(SettingsError, match=says.replace("?", r"\?")):
        Policy.of(dataset(safe_text=(place,)))


def test_changes_and_an_opt_out_list_do_not_go_together():
    with pytest.raises(SettingsError):
        Policy.of(dataset(load="changes", opt_out_file=Path("out.txt")))


@pytest.mark.parametrize("policy", [Policy(), UNSHIFTED])
def test_every_field_has_one_rule_and_none_is_unknown(policy):
    for spec in core_1().tables:
        for field in spec.fields:
            assert rule_for(spec, field, policy).name != "unknown"


def test_no_rule_keeps_what_identifies_directly():
    for spec in core_1().tables:
        for field in spec.fields:
            if field.content in (Content.DIRECT_IDENTIFIER, Content.FREE_TEXT):
                assert rule_for(spec, field, Policy()).name in {"direct_identifiers", "free_text"}


def test_every_rule_has_its_sql():
    assert [rule.name for rule in RULES] == list(COMPILED)


def test_the_descriptions_name_every_field_once():
    named = [place for entry in described(Policy()) for place in entry.fields]

    assert len(named) == len(set(named)) == sum(len(spec.fields) for spec in core_1().tables)


def test_the_page_of_the_hospital_is_made_from_the_rules():
    written = (ROOT / "docs" / "reference" / "deidentification.md").read_text(encoding="utf-8")

    assert page(Policy()) == written
    for entry in described(Policy()):
        assert entry.description in written


def test_the_page_can_be_written_from_the_shell():
    run = subprocess.run(
        [sys.executable, "-m", "atoll_node.deidentify.page"], capture_output=True, text=True, check=True
    )

    assert page(Policy()) == run.stdout


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [5],
        [4, 5, 6, 7, 8],
        [9, 1, 9, 2, 1, 4_000_000_000_001],
        [-1, -5, 0, 3, -4],
        [7, 7, 7],
    ],
    ids=["none", "one", "in order", "in no order", "below zero", "the same"],
)
def test_many_numbers_get_the_pseudonyms_that_each_gets_alone(numbers):
    pseudonyms = Pseudonyms(KEY, "atoll-a")

    found = pseudonyms.of_many(Kind.RECORD, np.array(numbers, np.int64))

    assert found.tolist() == [pseudonyms.of(Kind.RECORD, number) for number in numbers]
