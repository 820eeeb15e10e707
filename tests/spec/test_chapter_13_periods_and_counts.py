"""Chapter 13. Periods of one's own choice, periods of a payer, and what a distinct count counts."""

from datetime import date
from typing import Any

import pytest

from atoll_node.errors import EngineError
from tests.support.circe_text import AT_LEAST, EXACTLY, cohort, condition, counted, group, rule, window
from tests.support.records import TABLES, persons, record

OWN = {"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 0}}, "ConceptSets": []}


def in_two_parts() -> dict[str, Any]:
    """Return a person who is observed, and insured, from January to March and from June to December."""
    tables = persons(1)
    spans = [(date(2020, 1, 1), date(2020, 3, 31)), (date(2020, 6, 1), date(2020, 12, 31))]
    for table in ("observation_period", "payer_plan_period"):
        tables[table] = [
            {f"{table}_id": n, "person_id": 1, f"{table}_start_date": first, f"{table}_end_date": last}
            for n, (first, last) in enumerate(spans, start=1)
        ]
    return tables


periods = pytest.mark.parametrize("kind", ["ObservationPeriod", "PayerPlanPeriod"])


@periods
def test_each_period_is_an_event(stays, kind):
    assert stays(in_two_parts(), cohort({kind: {}}, **OWN)) == [
        "1: 2020-01-01 to 2020-03-31",
        "1: 2020-06-01 to 2020-12-31",
    ]


@periods
@pytest.mark.parametrize(
    "chosen, expected",
    [
        ({"StartDate": "2020-02-01", "EndDate": "2020-03-01"}, ["1: 2020-02-01 to 2020-03-01"]),
        ({"StartDate": "2020-02-01"}, ["1: 2020-02-01 to 2020-03-31"]),
        ({"EndDate": "2020-07-01"}, ["1: 2020-06-01 to 2020-07-01"]),
        ({"StartDate": "2020-03-31", "EndDate": "2020-03-31"}, ["1: 2020-03-31 to 2020-03-31"]),
        ({"StartDate": "2020-03-01", "EndDate": "2020-06-01"}, []),
        ({"StartDate": "2020-04-15"}, []),
        ({}, ["1: 2020-01-01 to 2020-03-31", "1: 2020-06-01 to 2020-12-31"]),
    ],
)
def test_dates_of_ones_own_stand_in_for_those_of_the_period_that_contains_them(stays, kind, chosen, expected):
    assert stays(in_two_parts(), cohort({kind: {"UserDefinedPeriod": chosen}}, **OWN)) == expected


@periods
def test_other_attributes_look_at_the_dates_of_the_period_itself(stays, kind):
    chosen = {"UserDefinedPeriod": {"StartDate": "2020-02-01", "EndDate": "2020-02-02"}}
    for value, found in (("2020-01-01", 1), ("2020-02-01", 0)):
        start = {"PeriodStartDate": {"Value": value, "Op": "eq"}}
        assert len(stays(in_two_parts(), cohort({kind: {**chosen, **start}}, **OWN))) == found
    for value, found in ((90, 1), (1, 0)):
        length = {"PeriodLength": {"Value": value, "Op": "eq"}}
        assert len(stays(in_two_parts(), cohort({kind: {**chosen, **length}}, **OWN))) == found


@periods
def test_the_first_period_is_chosen_before_dates_of_ones_own_are_looked_for(stays, kind):
    chosen = {"First": True, "UserDefinedPeriod": {"StartDate": "2020-07-01"}}
    assert stays(in_two_parts(), cohort({kind: chosen}, **OWN)) == []


def test_entry_events_keep_the_order_of_the_periods_themselves(stays):
    """The diagnosis starts before the chosen dates, but after the period that contains them."""
    later = {"ObservationPeriod": {"UserDefinedPeriod": {"StartDate": "2020-08-01", "EndDate": "2020-08-02"}}}
    tables = in_two_parts()
    tables["condition_occurrence"] = [
        record("condition_occurrence", 9, person_id=1, condition_start_date=date(2020, 7, 1))
    ]
    both = cohort(condition(), later, entry="First", **OWN)
    assert stays(tables, both) == ["1: 2020-08-01 to 2020-08-02"]


COUNTS = [
    ("ConditionOccurrence", None, "condition_concept_id", (1, 1, 2), 2),
    ("ConditionOccurrence", "DOMAIN_CONCEPT", "condition_concept_id", (1, 1, 2), 2),
    ("ConditionOccurrence", "DOMAIN_CONCEPT", "condition_concept_id", (1, None, 2), 2),
    ("Death", "DOMAIN_CONCEPT", "cause_concept_id", (None, None, 1), 2),
    (
        "ConditionOccurrence",
        "START_DATE",
        "condition_start_date",
        (date(2020, 3, 1), date(2020, 3, 1), date(2020, 3, 2)),
        2,
    ),
    ("ConditionOccurrence", "END_DATE", "condition_end_date", (date(2020, 3, 2), None, date(2020, 3, 4)), 2),
    ("ConditionOccurrence", "VISIT_ID", "visit_occurrence_id", (1, 1, None), 1),
    ("ConditionOccurrence", "DURATION", "condition_end_date", (date(2020, 3, 2), None, date(2020, 3, 4)), 2),
    ("ConditionOccurrence", "DOMAIN_SOURCE_CONCEPT", "condition_source_concept_id", (1, 2, None), 2),
    ("DrugExposure", "DAYS_SUPPLY", "days_supply", (1, 1, 2), 2),
    ("DrugExposure", "QUANTITY", "quantity", (0.5, 0.5, None), 1),
    ("DrugExposure", "REFILLS", "refills", (1, 2, 3), 3),
    ("Measurement", "VALUE_AS_NUMBER", "value_as_number", (0.1, 0.1, 0.2), 2),
    ("Measurement", "RANGE_LOW", "range_low", (1.0, None, None), 1),
    ("Measurement", "RANGE_HIGH", "range_high", (None, None, None), 0),
    ("Measurement", "UNIT", "unit_concept_id", (1, 2, 2), 2),
    ("VisitDetail", "VISIT_DETAIL_ID", "visit_detail_concept_id", (1, 1, 1), 3),
    ("ConditionEra", "ERA_OCCURRENCES", "condition_occurrence_count", (1, 1, 2), 2),
    ("DrugEra", "ERA_OCCURRENCES", "drug_exposure_count", (1, 1, 2), 2),
    ("DrugEra", "GAP_DAYS", "gap_days", (0, 0, 1), 2),
    ("DoseEra", "VALUE_AS_NUMBER", "dose_value", (1.5, 1.5, 2.5), 2),
    ("ImageOccurrence", "IMAGE_STUDY", "image_study_uid", ("1.2", "1.2", "1.3"), 2),
]


def site_of(kind: str, field: str, values: tuple[Any, ...]) -> dict[str, Any]:
    tables = persons(1)
    table = TABLES[kind]
    tables[table] = [
        record(table, n) | {"person_id": 1, field: value} for n, value in enumerate(values, start=1)
    ]
    tables["procedure_occurrence"] = [record("procedure_occurrence", 1)]
    return tables


def number_of(kind: str, column: str | None, number: int, how: int = EXACTLY) -> dict[str, Any]:
    around = counted({kind: {}}, number, how, distinct=True, StartWindow=window("-all", "+all"))
    if column is not None:
        around["Occurrence"]["CountColumn"] = column
    return cohort({"ProcedureOccurrence": {}}, ConceptSets=[], InclusionRules=[rule(group("ALL", around))])


@pytest.mark.parametrize("kind, column, field, values, number", COUNTS)
def test_a_distinct_count_counts_each_known_value_once(stays, kind, column, field, values, number):
    tables = site_of(kind, field, values)
    held = [n for n in range(5) if stays(tables, number_of(kind, column, n))]
    assert held == [number]


@pytest.mark.parametrize("kind, column", [("ConditionOccurrence", "DAYS_SUPPLY"), ("Specimen", "GAP_DAYS")])
def test_what_the_records_do_not_have_cannot_be_counted(stays, kind, column):
    tables = site_of(kind, "person_id", (1, 1, 1))
    with pytest.raises(EngineError) as refused:
        stays(tables, number_of(kind, column, 1, AT_LEAST))
    assert refused.value.code == "engine.unsupported"
