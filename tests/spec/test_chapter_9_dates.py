"""Chapter 9. On which days an event starts and ends, how long it is, and how its dates are adjusted."""

from datetime import date

import pytest

from tests.support.circe_text import cohort
from tests.support.records import TABLES, persons, record

START, END = date(2020, 3, 1), date(2020, 3, 10)
OWN = {"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 0}}}
"""Let each event last for its own time."""
SPANS = {
    "ConditionOccurrence": ("condition_start_date", "condition_end_date"),
    "DrugExposure": ("drug_exposure_start_date", "drug_exposure_end_date"),
    "DeviceExposure": ("device_exposure_start_date", "device_exposure_end_date"),
    "VisitOccurrence": ("visit_start_date", "visit_end_date"),
    "VisitDetail": ("visit_detail_start_date", "visit_detail_end_date"),
    "ConditionEra": ("condition_era_start_date", "condition_era_end_date"),
    "DrugEra": ("drug_era_start_date", "drug_era_end_date"),
    "DoseEra": ("dose_era_start_date", "dose_era_end_date"),
    "PayerPlanPeriod": ("payer_plan_period_start_date", "payer_plan_period_end_date"),
    "TrialParticipation": ("start_date", "end_date"),
    "TrialEpoch": ("epoch_start_date", "epoch_end_date"),
    "TrialExposure": ("exposure_start_date", "exposure_end_date"),
}
"""Kinds whose records have an end of their own."""
MOMENTS = [
    "ProcedureOccurrence", "Measurement", "Observation", "Specimen", "Death", "ImageOccurrence",
    "ImageFeature", "VariantOccurrence", "TrialEndpoint",
]  # fmt: skip
"""Kinds whose records are of a day."""
NO_END = {"VisitOccurrence", "VisitDetail", "ConditionEra", "DrugEra", "DoseEra", "PayerPlanPeriod"}
"""Spans without an end have no end date; the others end on the next day."""


@pytest.fixture
def lasts(stays):
    """Return ``lasts(kind, attributes, end)``: the stay of one record from 1 March to its end, if any."""

    def found(kind: str, attributes: dict | None = None, end: date | None = END) -> list[str]:
        table = TABLES[kind]
        tables = persons(1)
        dates = dict(zip(SPANS.get(kind, ()), (START, end), strict=False))
        tables[table] = [record(table, 1, **dates)]
        if kind == "ImageFeature":
            tables["image_occurrence"] = [record("image_occurrence", 1)]
            tables[table][0]["image_occurrence_id"] = 1
        rows = stays(tables, cohort({kind: attributes or {}}, ConceptSets=[], **OWN))
        return [row.removeprefix("1: ") for row in rows]

    return found


@pytest.mark.parametrize("kind", sorted(SPANS))
def test_a_span_lasts_from_its_start_to_its_end(lasts, kind):
    assert lasts(kind) == ["2020-03-01 to 2020-03-10"]


@pytest.mark.parametrize("kind", sorted(SPANS))
def test_a_span_without_an_end_ends_on_the_next_day_or_has_no_end_date(lasts, kind):
    assert lasts(kind, end=None) == ([] if kind in NO_END else ["2020-03-01 to 2020-03-02"])


@pytest.mark.parametrize("kind", MOMENTS)
def test_a_moment_ends_on_the_next_day(lasts, kind):
    assert lasts(kind) == ["2020-03-01 to 2020-03-02"]


LENGTHS = [
    ("VisitOccurrence", "VisitLength"), ("VisitDetail", "VisitDetailLength"), ("ConditionEra", "EraLength"),
    ("DrugEra", "EraLength"), ("DoseEra", "EraLength"), ("PayerPlanPeriod", "PeriodLength"),
]  # fmt: skip


@pytest.mark.parametrize("kind, name", LENGTHS)
@pytest.mark.parametrize("days, held", [(8, False), (9, True), (10, False)])
def test_a_length_is_the_days_from_start_to_end(lasts, kind, name, days, held):
    assert bool(lasts(kind, {name: {"Value": days, "Op": "eq"}})) is held


DATES = [
    ("VisitDetail", "VisitDetailStartDate", "2020-03-01"),
    ("VisitDetail", "VisitDetailEndDate", "2020-03-10"),
    ("DoseEra", "EraStartDate", "2020-03-01"), ("DoseEra", "EraEndDate", "2020-03-10"),
    ("PayerPlanPeriod", "PeriodStartDate", "2020-03-01"), ("PayerPlanPeriod", "PeriodEndDate", "2020-03-10"),
    ("TrialEpoch", "OccurrenceStartDate", "2020-03-01"), ("TrialEpoch", "OccurrenceEndDate", "2020-03-10"),
]  # fmt: skip


@pytest.mark.parametrize("kind, name, day", DATES)
@pytest.mark.parametrize("op, held", [("eq", True), ("gte", True), ("!eq", False), ("gt", False)])
def test_the_dates_of_a_span_are_compared(lasts, kind, name, day, op, held):
    assert bool(lasts(kind, {name: {"Value": day, "Op": op}})) is held


def adjusted(start: str, first: int, end: str, last: int) -> dict:
    return {
        "DateAdjustment": {
            "StartWith": f"{start}_DATE",
            "StartOffset": first,
            "EndWith": f"{end}_DATE",
            "EndOffset": last,
        }
    }


@pytest.mark.parametrize(
    "adjustment, expected",
    [
        (adjusted("START", 0, "END", 0), "2020-03-01 to 2020-03-10"),
        (adjusted("START", -5, "END", 3), "2020-02-25 to 2020-03-13"),
        (adjusted("END", 0, "END", 7), "2020-03-10 to 2020-03-17"),
        (adjusted("START", 2, "START", 2), "2020-03-03 to 2020-03-03"),
        (adjusted("END", 0, "START", 9), "2020-03-10 to 2020-03-10"),
    ],
)
@pytest.mark.parametrize("kind", ["ConditionOccurrence", "DrugExposure", "VisitOccurrence", "DrugEra"])
def test_dates_are_moved_from_the_start_or_the_end_of_the_record(lasts, kind, adjustment, expected):
    assert lasts(kind, adjustment) == [expected]


def test_an_event_that_would_end_before_its_start_is_none(lasts):
    assert lasts("ConditionOccurrence", adjusted("END", 0, "START", 8)) == []


def test_an_event_without_an_end_to_start_from_is_none(lasts):
    assert lasts("VisitOccurrence", adjusted("END", 0, "END", 5), end=None) == []
    assert lasts("VisitOccurrence", adjusted("START", 0, "START", 5), end=None) == [
        "2020-03-01 to 2020-03-06"
    ]


@pytest.mark.parametrize("kind", ["ProcedureOccurrence", "Measurement", "Observation"])
def test_the_end_of_a_moment_is_the_next_day(lasts, kind):
    assert lasts(kind, adjusted("END", 0, "END", 1)) == ["2020-03-02 to 2020-03-03"]


def test_a_death_is_moved_from_its_own_two_days_whatever_the_adjustment_starts_with(lasts):
    assert lasts("Death", adjusted("END", 0, "START", 0)) == ["2020-03-01 to 2020-03-02"]


def test_a_specimen_is_never_moved(lasts):
    assert lasts("Specimen", adjusted("START", 5, "END", 9)) == ["2020-03-01 to 2020-03-02"]


def test_attributes_look_at_the_adjusted_dates(lasts):
    week = adjusted("START", 7, "END", 7)
    assert lasts("ConditionOccurrence", {**week, "OccurrenceStartDate": {"Value": "2020-03-08", "Op": "eq"}})
    assert not lasts(
        "ConditionOccurrence", {**week, "OccurrenceStartDate": {"Value": "2020-03-01", "Op": "eq"}}
    )
    assert (
        lasts("ConditionOccurrence", {**adjusted("START", -61, "END", 0), "Age": {"Value": 60, "Op": "eq"}})
        == []
    )


def test_the_first_record_is_chosen_before_dates_are_adjusted(stays):
    tables = persons(1)
    tables["condition_occurrence"] = [
        record("condition_occurrence", 1, condition_end_date=date(2020, 3, 2)),
        record("condition_occurrence", 2, person_id=1, condition_start_date=date(2020, 3, 5)),
    ]
    late = {"First": True, **adjusted("START", 10, "START", 11)}
    assert stays(tables, cohort({"ConditionOccurrence": late}, ConceptSets=[], **OWN)) == [
        "1: 2020-03-11 to 2020-03-12"
    ]
