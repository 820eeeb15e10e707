"""Each rule of de-identification as a table: what stood in the source, and what may be stored."""

from datetime import date, datetime
from pathlib import Path

import pytest

from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Kind, Pseudonyms, kind_of
from atoll_node.deidentify.rules import OPT_OUT, RULES, Person, deidentified, described, rule_for
from atoll_node.errors import SettingsError
from atoll_node.settings import DatasetSettings
from atoll_schemas.tables import Content, core_1, table

SITE = Pseudonyms(bytes(range(32)), "atoll-a")
PLAIN = Policy(date_shift=False, cap_ages=False)
LAST = date(2020, 6, 15)


def after(place, value, *, policy=PLAIN, person=Person(0, LAST), **beside):
    """Return what one field (``table.field``) becomes; ``beside`` are other fields of its row."""
    name, _, field = place.partition(".")
    row = {field: value, **beside}
    return deidentified(table(name), row, person=person, pseudonyms=SITE, policy=policy)[field]


DROPPED = {
    "person.person_source_value": "MRN-0815",
    "provider.provider_name": "Dr Miller",
    "provider.npi": "1234567893",
    "provider.dea": "AB1234567",
    "provider.provider_source_value": "P-7",
    "care_site.care_site_name": "Ward of Dr Miller",
    "care_site.care_site_source_value": "W7",
    "location.address_1": "5 Elm Street",
    "location.address_2": "c/o Miller",
    "location.city": "Springfield",
    "location.zip": "12345",
    "location.county": "Orange",
    "location.location_source_value": "12345-Elm",
    "device_exposure.unique_device_id": "(01)00844588003288",
    "device_exposure.production_id": "LOT-7",
    "visit_occurrence.visit_source_value": None,
    "note.note_text": "Mr Miller came on foot",
    "note.note_title": "Letter to Mr Miller",
    "note_nlp.snippet": "Mr Miller",
    "note_nlp.lexical_variant": "miller",
    "observation.value_as_string": "lives alone with Mrs Miller",
    "drug_exposure.sig": "twice a day for Mr Miller",
    "drug_exposure.stop_reason": "Mr Miller refused",
    "drug_exposure.lot_number": "LOT-9",
    "person.month_of_birth": 5,
    "person.day_of_birth": 31,
    "person.birth_datetime": datetime(1950, 5, 31, 4, 30),
}


@pytest.mark.parametrize("place", DROPPED)
def test_what_names_somebody_is_dropped(place):
    assert after(place, DROPPED[place]) is None


KEPT = {
    "person.gender_concept_id": 8507,
    "person.race_concept_id": 0,
    "person.gender_source_value": "F",
    "condition_occurrence.condition_concept_id": 4180790,
    "condition_occurrence.condition_source_value": "C18.9",
    "condition_occurrence.condition_status_source_value": "main",
    "measurement.value_as_number": -12.5,
    "measurement.range_low": 0.0,
    "measurement.range_high": 1e300,
    "measurement.unit_source_value": "mg/dL",
    "measurement.measurement_source_value": "HB",
    "drug_exposure.quantity": 0.5,
    "drug_exposure.days_supply": 30,
    "drug_exposure.refills": 0,
    "observation.value_as_number": 3.0,
    "location.state": "OH",
    "visit_occurrence.visit_concept_id": 9201,
    "procedure_occurrence.procedure_source_value": "5-455.0",
    "death.cause_source_value": "C34.9",
    "concept.concept_name": "Malignant tumor of colon",
    "concept.concept_code": "363406005",
    "vocabulary.vocabulary_version": "v5.0 31-AUG-23",
    "trial_subject.trial_code": "NCCTG-COLON",
    "trial_subject.arm_code": "Lev+5FU",
}


@pytest.mark.parametrize("place", KEPT)
def test_concepts_codes_and_quantities_stay(place):
    assert after(place, KEPT[place]) == KEPT[place]


@pytest.mark.parametrize("place", [*DROPPED, *KEPT])
def test_an_absent_value_stays_absent(place):
    assert after(place, None) is None


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("person.person_id", Kind.PERSON),
        ("person.provider_id", Kind.PROVIDER),
        ("person.care_site_id", Kind.CARE_SITE),
        ("person.location_id", Kind.LOCATION),
        ("provider.provider_id", Kind.PROVIDER),
        ("provider.care_site_id", Kind.CARE_SITE),
        ("care_site.care_site_id", Kind.CARE_SITE),
        ("care_site.location_id", Kind.LOCATION),
        ("location.location_id", Kind.LOCATION),
        ("visit_occurrence.visit_occurrence_id", Kind.RECORD),
        ("visit_occurrence.preceding_visit_occurrence_id", Kind.RECORD),
        ("visit_detail.parent_visit_detail_id", Kind.RECORD),
        ("measurement.measurement_id", Kind.RECORD),
        ("measurement.person_id", Kind.PERSON),
        ("measurement.visit_occurrence_id", Kind.RECORD),
        ("measurement.measurement_event_id", Kind.RECORD),
        ("note_nlp.note_id", Kind.RECORD),
        ("cost.cost_event_id", Kind.RECORD),
        ("death.person_id", Kind.PERSON),
        ("trial_subject.person_id", Kind.PERSON),
        ("payer_plan_period.person_id", Kind.PERSON),
    ],
)
@pytest.mark.parametrize("number", [0, 1, 7, -5, 2**62])
def test_an_identifier_becomes_the_pseudonym_of_its_kind(place, kind, number):
    name, _, field = place.partition(".")
    assert kind_of(table(name), table(name).field(field)) is kind
    assert after(place, number) == SITE.of(kind, number) != number


@pytest.mark.parametrize(
    ("domain", "kind"),
    [(56, Kind.PERSON), (57, Kind.CARE_SITE), (21, Kind.RECORD), (0, Kind.RECORD), (None, Kind.RECORD)],
)
@pytest.mark.parametrize("side", ["1", "2"])
def test_a_fact_is_named_by_its_domain(domain, kind, side):
    found = after(f"fact_relationship.fact_id_{side}", 9, **{f"domain_concept_id_{side}": domain})

    assert found == SITE.of(kind, 9)


@pytest.mark.parametrize(
    ("before", "shift", "expected"),
    [
        (date(2020, 3, 1), 0, date(2020, 3, 1)),
        (date(2020, 3, 1), -1, date(2020, 2, 29)),
        (date(2021, 3, 1), -1, date(2021, 2, 28)),
        (date(2019, 12, 31), 1, date(2020, 1, 1)),
        (date(2020, 1, 1), -182, date(2019, 7, 3)),
        (date(2020, 1, 1), 182, date(2020, 7, 1)),
        (None, 182, None),
    ],
)
def test_a_day_moves_by_the_person_s_days(before, shift, expected):
    found = after("measurement.measurement_date", before, policy=Policy(), person=Person(shift, LAST))

    assert found == expected


@pytest.mark.parametrize("shift", [-182, -1, 1, 182])
def test_the_hour_of_a_moment_stays(shift):
    before = datetime(2020, 3, 1, 23, 59, 59)
    found = after("measurement.measurement_datetime", before, policy=Policy(), person=Person(shift, LAST))

    assert found.time() == before.time()
    assert (found - before).days == shift


@pytest.mark.parametrize("policy", [Policy(), PLAIN])
def test_a_date_without_a_known_person_is_dropped(policy):
    assert after("measurement.measurement_date", LAST, policy=policy, person=None) is None


LONE = [
    f"{spec.name}.{field.name}"
    for spec in core_1().tables
    for field in spec.fields
    if field.content is Content.DATE and not spec.person_scoped
]


@pytest.mark.parametrize("place", LONE)
def test_a_date_that_names_no_person_stays_only_while_no_date_is_shifted(place):
    assert after(place, LAST, person=None) == LAST
    assert after(place, LAST, policy=Policy(), person=None) is None


BIRTHS = [
    # year, month, day, shift, last day, cap, expected year
    (1950, 5, 9, 0, LAST, True, 1950),
    (1950, None, None, 0, LAST, True, 1950),
    (1950, 1, 1, -1, LAST, True, 1949),
    (1950, 12, 31, 1, LAST, True, 1951),
    (1950, None, None, -182, LAST, True, 1949),
    (1950, None, None, 182, LAST, True, 1950),
    (1950, None, None, 184, LAST, True, 1951),
    (1950, 2, 30, 0, LAST, True, 1950),
    (1950, 13, 1, 0, LAST, True, 1950),
    (1950, 0, 0, 0, LAST, True, 1950),
    (1931, 7, 1, 0, LAST, True, 1931),  # 89 in the year of the last record
    (1930, 7, 1, 0, LAST, True, 1930),  # 90 is the class of the oldest
    (1929, 7, 1, 0, LAST, True, 1930),
    (1900, 7, 1, 0, LAST, True, 1930),
    (1900, 7, 1, 0, LAST, False, 1900),
    (1900, 7, 1, 0, None, True, 1900),
    (1800, 7, 1, 0, LAST, False, 1800),
    (1799, 7, 1, 0, LAST, False, None),
    (2200, 7, 1, 0, LAST, False, 2200),
    (2201, 7, 1, 0, LAST, False, None),
    (0, 7, 1, 0, LAST, False, None),
    (-1950, 7, 1, 0, LAST, False, None),
    (None, 7, 1, 0, LAST, True, None),
]


@pytest.mark.parametrize(("year", "month", "day", "shift", "last", "cap", "expected"), BIRTHS)
def test_a_birth_becomes_a_year(year, month, day, shift, last, cap, expected):
    found = after(
        "person.year_of_birth",
        year,
        policy=Policy(cap_ages=cap),
        person=Person(shift, last),
        month_of_birth=month,
        day_of_birth=day,
    )

    assert found == expected


@pytest.mark.parametrize(
    ("moment", "shift", "expected"),
    [
        (datetime(1950, 1, 1, 0, 0), 0, 1950),
        (datetime(1950, 1, 1, 0, 0), -1, 1949),
        (datetime(1950, 12, 31, 23, 59), 1, 1951),
        (None, 0, None),
    ],
)
def test_a_year_that_is_absent_is_taken_from_the_moment_of_birth(moment, shift, expected):
    found = after("person.year_of_birth", None, person=Person(shift, LAST), birth_datetime=moment)

    assert found == expected


def test_an_age_is_capped_after_the_shift_so_that_it_cannot_be_worked_back():
    old = after("person.year_of_birth", 1915, policy=Policy(), person=Person(-180, LAST))
    older = after("person.year_of_birth", 1901, policy=Policy(), person=Person(-180, LAST))

    assert old == older == 2019 - 90


def test_a_birth_without_a_person_s_facts_is_dropped():
    assert after("person.year_of_birth", 1950, person=None) is None


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("C18.9", True),
        ("x" * 50, True),
        ("x" * 51, False),
        ("two\nlines", False),
        ("two\rlines", False),
        ("with spaces and ümläuts", True),
        ("", True),
        ("'; DROP TABLE person; --", True),
        ("tab\tinside", True),
    ],
)
@pytest.mark.parametrize(
    "place", ["condition_occurrence.condition_source_value", "measurement.measurement_source_value"]
)
def test_a_code_is_kept_as_written_unless_it_is_text_in_disguise(place, written, kept):
    assert after(place, written) == (written if kept else None)


@pytest.mark.parametrize("place", ["note.note_title", "observation.value_as_string", "drug_exposure.sig"])
def test_a_text_declared_safe_stays_and_its_neighbours_do_not(place):
    policy = Policy(date_shift=False, safe_text=frozenset({place}))

    assert after(place, "declared", policy=policy) == "declared"
    assert after("note.note_text", "words", policy=policy) is None


def settings(**changes) -> DatasetSettings:
    return DatasetSettings(name="d", title="D", format="omop", path=Path("data"), **changes)


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("note", "safe_text.unknown"),
        ("note.", "safe_text.unknown"),
        (".note_text", "safe_text.unknown"),
        ("", "safe_text.unknown"),
        ("note.note_txt", "safe_text.unknown"),
        ("nota.note_text", "safe_text.unknown"),
        ("person.person_id", "safe_text.not_text"),
        ("person.person_source_value", "safe_text.not_text"),
        ("person.birth_datetime", "safe_text.not_text"),
        ("provider.provider_name", "safe_text.not_text"),
        ("location.zip", "safe_text.not_text"),
        ("measurement.measurement_date", "safe_text.not_text"),
        ("measurement.value_as_number", "safe_text.not_text"),
    ],
)
def test_only_free_text_can_be_declared_safe(place, code):
    with pytest.raises(SettingsError) as refused:
        Policy.of(settings(safe_text=("note.note_title", place)))

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ({}, {}, True),
        ({"date_shift_days": 182}, {}, True),
        ({"date_shift_days": 181}, {}, False),
        ({"date_shift": False}, {}, False),
        ({"date_shift": False, "date_shift_days": 3}, {"date_shift": False, "date_shift_days": 9}, True),
        ({"cap_ages": False}, {}, False),
        ({"safe_text": ("note.note_title",)}, {}, False),
        (
            {"safe_text": ("note.note_title", "note.note_text")},
            {"safe_text": ("note.note_text", "note.note_title")},
            True,
        ),
        ({"synthetic": True}, {}, True),
        ({"title": "Other words"}, {}, True),
    ],
)
def test_choices_that_decide_rows_and_no_others_change_the_policy(one, other, alike):
    texts = [
        Policy.of(DatasetSettings(**({"name": "d", "title": "D", "format": "omop", "path": "x"} | found)))
        for found in (one, other)
    ]

    assert (texts[0].canonical() == texts[1].canonical()) is alike


@pytest.mark.parametrize("spec", core_1().tables, ids=lambda spec: spec.name)
def test_no_field_of_a_table_lets_a_planted_word_of_a_person_through(spec):
    """Every text field holds a planted sentence; only codes and structure could keep it, and codes do not."""
    planted = "Mr Maquila\ncame on foot"
    row = {field.name: planted for field in spec.fields if field.datatype.value.upper().startswith("VARCHAR")}

    found = deidentified(spec, row, person=Person(0, LAST), pseudonyms=SITE, policy=Policy())

    leaked = [name for name, value in found.items() if value == planted]
    assert all(spec.field(name).content in (Content.STRUCTURAL, Content.NUMBER) for name in leaked), leaked


@pytest.mark.parametrize("spec", core_1().tables, ids=lambda spec: spec.name)
def test_no_stored_row_holds_a_source_identifier_or_a_day(spec):
    row = {field.name: 900_007 for field in spec.fields if field.content in (Content.KEY, Content.PERSON_KEY)}
    row |= {field.name: LAST for field in spec.fields if field.content is Content.DATE}

    found = deidentified(spec, row, person=Person(17, LAST), pseudonyms=SITE, policy=Policy())

    assert 900_007 not in found.values()
    assert LAST not in found.values()
    assert list(found) == [field.name for field in spec.fields]


def test_the_rules_end_with_one_that_drops_and_fits_all():
    last = RULES[-1]

    assert last.name == "unknown"
    for spec in core_1().tables:
        assert all(last.fits(spec, field, Policy()) for field in spec.fields)


def test_rules_have_names_of_their_own():
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("days", [1, 30, 182, 3650])
def test_the_description_says_how_far_dates_move(days):
    entries = {entry.rule: entry for entry in described(Policy(date_shift_days=days))}

    assert f"at most {days} either way" in entries["date_shift"].description


@pytest.mark.parametrize(
    ("policy", "rule", "says"),
    [
        (PLAIN, "date_shift", "date shift is off"),
        (PLAIN, "birth_year", "Ages are not capped"),
        (Policy(), "birth_year", "older than 89"),
        (Policy(), "free_text", "Text that somebody typed is dropped."),
        (Policy(safe_text=frozenset({"note.note_title"})), "free_text", "declared safe"),
        (PLAIN, "lone_dates_kept", "stay as they are"),
        (Policy(), "lone_dates", "are dropped"),
    ],
)
def test_the_description_is_that_of_the_choices(policy, rule, says):
    entries = {entry.rule: entry for entry in described(policy)}

    assert says in entries[rule].description


@pytest.mark.parametrize("policy", [Policy(), PLAIN, Policy(safe_text=frozenset({"note.note_title"}))])
def test_every_field_is_described_under_the_rule_that_decides_it(policy):
    named = {place: entry.rule for entry in described(policy) for place in entry.fields}

    for spec in core_1().tables:
        for field in spec.fields:
            assert named[f"{spec.name}.{field.name}"] == rule_for(spec, field, policy).name
    assert described(policy)[0] is OPT_OUT


@pytest.mark.parametrize("days", [1, 2, 182, 3650])
def test_a_shift_stays_in_its_range_on_both_sides(days):
    shifts = [SITE.date_shift(person, days) for person in range(400)]

    assert all(1 <= abs(shift) <= days for shift in shifts)
    assert min(shifts) < 0 < max(shifts)


def test_a_shift_is_the_person_s_and_the_site_s_own():
    other = Pseudonyms(bytes(range(32)), "atoll-b")

    assert SITE.date_shift(7, 182) == SITE.date_shift(7, 182)
    assert [SITE.date_shift(n, 182) for n in range(20)] != [other.date_shift(n, 182) for n in range(20)]


def test_a_seal_recognises_its_purpose_and_content_alone():
    seals = {
        SITE.seal("content", "a"),
        SITE.seal("content", "b"),
        SITE.seal("policy", "a"),
        Pseudonyms(bytes(32), "atoll-a").seal("content", "a"),
        Pseudonyms(bytes(range(32)), "atoll-b").seal("content", "a"),
    }

    assert len(seals) == 5
    assert all(0 <= seal < 2**63 for seal in seals)


@pytest.mark.parametrize("length", [0, 1, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length):
    with pytest.raises(SettingsError, match="32 bytes"):
        Pseudonyms(bytes(length), "atoll-a")
