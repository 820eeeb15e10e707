"""Every quality check, on every table to which it applies: sound rows pass it, one planted fault fails it."""

from datetime import date, datetime, timedelta
from itertools import count

import duckdb
import pyarrow.parquet as pq
import pytest

from atoll_node.errors import LakeError
from atoll_node.quality.checks import CHECKS, always_filled, blockers, has_period, judged
from atoll_node.quality.duckdb_adapter import count_faults, vocabulary_version
from atoll_schemas.catalog import QualityEntry
from atoll_schemas.tables import DOMAIN_OF_TABLE, DOMAINS, Content, Datatype, core_1, table
from tests.support.lake import arrow_of

DAY = date(2015, 6, 1)
VALUES = {
    Datatype.BIGINT: 1,
    Datatype.INTEGER: 1950,
    Datatype.DOUBLE: 1.0,
    Datatype.DATE: DAY,
    Datatype.TIMESTAMP: datetime(2015, 6, 1),
    Datatype.VARCHAR: "x",
}
PERSON = {"person_id": 1, "gender_concept_id": 8507, "year_of_birth": 1950, "race_concept_id": 0,
          "ethnicity_concept_id": 0}  # fmt: skip
PERIOD = {"observation_period_id": 1, "person_id": 1, "observation_period_start_date": date(2015, 1, 1),
          "observation_period_end_date": date(2016, 1, 1), "period_type_concept_id": 1}  # fmt: skip


def sound(name, **changes):
    """Return a row of any table that fails no check."""
    if name in ("person", "observation_period"):
        return (PERSON if name == "person" else PERIOD) | changes
    row = {field.name: VALUES[field.datatype] for field in table(name).fields if field.content is not None}
    return row | changes


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as found:
        yield found


@pytest.fixture
def failed(tmp_path, connection):
    """Return the checks that fail, with the tables named, over one person's sound site and other rows."""

    asked = count()

    def found(year=2026, **tables):
        rows = {"person": [PERSON], "observation_period": [PERIOD]} | tables
        files = {}
        for name in rows:
            file = tmp_path / f"{name}-{next(asked)}.parquet"
            pq.write_table(arrow_of(name, rows[name]), file)
            files[name] = (file,)
        return {key for key, number in count_faults(connection, files, year=year).items() if number}

    return found


EVERY = frozenset(core_1().names)


def tables_of(check):
    return [
        spec.name
        for spec in core_1().tables
        if next(one for one in CHECKS if one.name == check).applies(spec, EVERY)
    ]


@pytest.mark.parametrize("name", core_1().names)
def test_a_sound_row_of_any_table_fails_nothing(failed, name):
    assert failed(**{name: [sound(name)]}) == set()


@pytest.mark.parametrize("name", core_1().names)
def test_an_empty_table_fails_nothing_of_its_own(failed, name):
    assert {key for key in failed(**{name: []}) if key[1] == name} == set()


@pytest.mark.parametrize("name", tables_of("unique_keys"))
def test_a_key_that_stands_twice_is_a_fault(failed, name):
    assert ("unique_keys", name) in failed(**{name: [sound(name), sound(name)]})


@pytest.mark.parametrize("name", tables_of("required_fields"))
def test_each_required_field_that_is_empty_is_a_fault(failed, name):
    for field in always_filled(table(name)):
        found = failed(**{name: [sound(name, **{field.name: None})]})
        assert ("required_fields", name) in found, field.name


@pytest.mark.parametrize("name", tables_of("known_persons"))
def test_a_row_of_an_unknown_person_is_a_fault(failed, name):
    stranger = sound(name, **{table(name).person_field: 9})

    assert ("known_persons", name) in failed(**{name: [stranger]})


@pytest.mark.parametrize("name", tables_of("inside_observation"))
@pytest.mark.parametrize(
    ("day", "inside"),
    [
        (date(2014, 12, 31), False),
        (date(2015, 1, 1), True),
        (date(2016, 1, 1), True),
        (date(2016, 1, 2), False),
    ],
)
def test_an_event_starts_inside_an_observation_or_is_a_fault(failed, name, day, inside):
    domain = DOMAINS[DOMAIN_OF_TABLE[name]]
    row = sound(name, **{domain.start_date: day})
    if domain.end_date is not None:
        row[domain.end_date] = day + timedelta(days=1)

    assert (("inside_observation", name) not in failed(**{name: [row]})) is inside


@pytest.mark.parametrize("name", tables_of("ends_after_start"))
@pytest.mark.parametrize(("days", "fault"), [(-1, True), (0, False), (1, False), (None, False)])
def test_an_event_that_ends_before_it_starts_is_a_fault(failed, name, days, fault):
    domain = DOMAINS[DOMAIN_OF_TABLE[name]]
    end = None if days is None else DAY + timedelta(days=days)
    row = sound(name, **{domain.start_date: DAY, domain.end_date: end})

    assert (("ends_after_start", name) in failed(**{name: [row]})) is fault


@pytest.mark.parametrize(
    ("born", "fault"),
    [(1849, True), (1850, False), (2026, False), (2027, True), (0, True), (None, False)],
)
def test_a_birth_outside_the_plausible_years_is_a_fault(failed, born, fault):
    found = failed(person=[PERSON | {"year_of_birth": born}])

    assert (("plausible_birth", "person") in found) is fault


def test_the_year_of_the_release_bounds_births(failed):
    rows = [PERSON | {"year_of_birth": 2010}]

    assert ("plausible_birth", "person") in failed(person=rows, year=2009)
    assert ("plausible_birth", "person") not in failed(person=rows, year=2010)


@pytest.mark.parametrize(("persons", "fault"), [([1], False), ([1, 2], True), ([], False)])
def test_a_person_who_was_never_observed_is_a_fault(failed, persons, fault):
    rows = [PERSON | {"person_id": number} for number in persons]

    assert (("observed_persons", "person") in failed(person=rows)) is fault


def test_a_person_without_a_number_hides_no_stranger(failed):
    """``NOT IN`` over a null would find nobody."""
    visit = sound("visit_occurrence", person_id=9)
    persons = [PERSON, PERSON | {"person_id": None}]

    assert ("known_persons", "visit_occurrence") in failed(person=persons, visit_occurrence=[visit])


def test_an_observation_without_a_person_hides_nobody(failed):
    periods = [PERIOD | {"person_id": None, "observation_period_id": 2}]

    assert ("observed_persons", "person") in failed(observation_period=periods)


def test_a_person_with_two_periods_is_observed_in_both_and_not_between(failed):
    later = PERIOD | {
        "observation_period_id": 2,
        "observation_period_start_date": date(2018, 1, 1),
        "observation_period_end_date": date(2018, 12, 31),
    }
    between = sound("measurement", measurement_date=date(2017, 1, 1))
    inside = sound("measurement", measurement_date=date(2018, 6, 1))

    assert ("inside_observation", "measurement") in failed(
        observation_period=[PERIOD, later], measurement=[between]
    )
    assert ("inside_observation", "measurement") not in failed(
        observation_period=[PERIOD, later], measurement=[inside]
    )


@pytest.mark.parametrize(
    ("absent", "unasked"),
    [
        ("person", {"known_persons", "plausible_birth", "observed_persons"}),
        ("observation_period", {"observed_persons", "inside_observation"}),
    ],
)
def test_what_a_release_lacks_is_not_asked(tmp_path, connection, absent, unasked):
    rows = {"person": [PERSON], "observation_period": [PERIOD], "measurement": [sound("measurement")]}
    files = {}
    for name in rows.keys() - {absent}:
        pq.write_table(arrow_of(name, rows[name]), tmp_path / name)
        files[name] = (tmp_path / name,)

    asked = {name for name, _ in count_faults(connection, files, year=2026)}

    assert asked.isdisjoint(unasked)
    assert {entry.check for entry in judged(dict.fromkeys(((name, "x") for name in asked), 0))} == asked


def test_faults_are_counted_over_all_files_of_a_table(tmp_path, connection):
    files = []
    for place in range(3):
        file = tmp_path / f"part-{place}.parquet"
        pq.write_table(arrow_of("person", [PERSON]), file)
        files.append(file)

    assert count_faults(connection, {"person": files}, year=2026)["unique_keys", "person"] == 2


@pytest.mark.parametrize("sortable", [0, 1_000_000], ids=["too many to sort", "sorted in memory"])
@pytest.mark.parametrize(
    ("keys", "repeated"),
    [([], 0), ([1, 2, 3], 0), ([3, 1, 3, 2, 1, 3], 3), ([None, 4, None, 4], 1), ([None], 0)],
    ids=["none", "different", "repeated", "empty ones do not count", "nothing but an empty one"],
)
def test_repeated_keys_are_counted_alike_however_many_they_are(
    tmp_path, connection, keys, repeated, sortable
):
    rows = [sound("measurement") | {"measurement_id": key} for key in keys]
    pq.write_table(arrow_of("measurement", rows), tmp_path / "rows.parquet")

    found = count_faults(
        connection, {"measurement": (tmp_path / "rows.parquet",)}, year=2026, sortable=sortable
    )

    assert found["unique_keys", "measurement"] == repeated


def test_a_file_that_cannot_be_read_is_told_without_its_name(tmp_path, connection):
    file = tmp_path / "Miller_John.parquet"
    file.write_bytes(b"PAR1 not")

    with pytest.raises(LakeError) as refused:
        count_faults(connection, {"person": (file,)}, year=2026)

    assert refused.value.code == "quality.failed"
    assert "Miller" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("faults", [0, 1, 12_345])
def test_an_entry_says_passed_or_where_and_never_how_many(check, faults):
    (entry,) = judged({(check.name, "measurement"): faults, (check.name, "death"): 0})

    assert entry.passed is (faults == 0)
    assert entry.severity == check.severity
    assert ("measurement" in entry.description) is (faults > 0)
    assert "death" not in entry.description.replace(check.description, "")
    assert "12345" not in entry.model_dump_json()


def test_entries_stand_in_the_order_of_the_checks():
    faults = {(check.name, "person"): 0 for check in reversed(CHECKS)}

    assert [entry.check for entry in judged(faults)] == [check.name for check in CHECKS]


def test_failing_tables_are_named_in_order():
    (entry,) = judged({("unique_keys", name): 1 for name in ("visit_occurrence", "death", "person")})

    assert entry.description.endswith("Not so in: death, person, visit_occurrence.")


@pytest.mark.parametrize(
    ("severity", "passed", "blocks"),
    [("blocker", False, True), ("blocker", True, False), ("warning", False, False), ("info", False, False)],
)
def test_only_a_failed_blocker_forbids_a_release(severity, passed, blocks):
    entry = QualityEntry(check="c", description="d", passed=passed, severity=severity)

    assert bool(blockers([entry])) is blocks


def test_a_period_is_asked_of_events_that_have_an_end():
    assert has_period(table("visit_occurrence"))
    assert not has_period(table("measurement"))
    assert not has_period(table("death"))
    assert not has_period(table("concept"))


def test_what_deidentification_empties_is_never_called_missing():
    for spec in core_1().tables:
        for field in always_filled(spec):
            assert field.required
            assert field.content not in (Content.DIRECT_IDENTIFIER, Content.FREE_TEXT)
            assert field.name not in ("month_of_birth", "day_of_birth", "birth_datetime")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("v5.0 31-AUG-23", True),
        ("v20240229", True),
        ("V6.1", True),
        ("5.0.1 01-JAN-2024", True),
        ("v5.0 31-Aug-23", False),
        ("v5.0 of Dr Miller", False),
        ("v5.0 31-AUG-23; Miller", False),
        ("", False),
        ("v", False),
    ],
)
def test_a_vocabulary_s_version_is_told_only_in_the_form_of_one(tmp_path, connection, written, told):
    rows = [
        {"vocabulary_id": "SNOMED", "vocabulary_version": "v9"},
        {"vocabulary_id": "None", "vocabulary_version": written},
    ]
    file = tmp_path / "vocabulary.parquet"
    pq.write_table(arrow_of("vocabulary", rows), file)

    assert vocabulary_version(connection, {"vocabulary": (file,)}) == (written if told else None)


def test_a_vocabulary_without_the_row_of_the_whole_has_no_version(tmp_path, connection):
    file = tmp_path / "vocabulary.parquet"
    pq.write_table(arrow_of("vocabulary", [{"vocabulary_id": "SNOMED", "vocabulary_version": "v9"}]), file)

    assert vocabulary_version(connection, {"vocabulary": (file,)}) is None
