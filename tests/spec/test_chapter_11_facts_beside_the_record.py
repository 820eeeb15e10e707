"""Chapter 11. What an attribute asks of the person, the visit, the provider and the care site of a record."""

from datetime import date
from typing import Any

import pytest

from tests.support.circe_text import cohort, item
from tests.support.records import TABLES, persons, record

FIVE = [{"CONCEPT_ID": 5}]
SETS = [{"id": 5, "name": "five", "expression": {"items": [item(5)]}}]
CLINICAL = [
    "ConditionOccurrence", "DrugExposure", "ProcedureOccurrence", "DeviceExposure", "Measurement",
    "Observation",
]  # fmt: skip
ERAS = ["ConditionEra", "DrugEra", "DoseEra", "PayerPlanPeriod"]
OF_A_SEX = [*CLINICAL, "Specimen", "VisitOccurrence", "Death", *ERAS, "ImageOccurrence", "VariantOccurrence",
            "TrialParticipation", "TrialEpoch", "TrialExposure", "TrialEndpoint"]  # fmt: skip


def who(
    stays: Any, kind: str, attributes: dict[str, Any], tables: dict[str, Any], **fields: Any
) -> list[int]:
    """Return whose record fulfils the attributes: three persons, each with one record and the same fields."""
    table = TABLES[kind]
    tables[table] = [
        record(table, n, **{name: values[n - 1] for name, values in fields.items()}) for n in (1, 2, 3)
    ]
    found = stays(tables, cohort({kind: attributes}, ConceptSets=SETS))
    return [int(row.split(":")[0]) for row in found]


SEXES = (5, 6, None)


@pytest.mark.parametrize("kind", OF_A_SEX)
def test_the_sex_is_listed_or_named_by_a_concept_set(stays, kind):
    def asked(**attributes: Any) -> list[int]:
        return who(stays, kind, attributes, persons(3, gender_concept_id=SEXES))

    assert asked(Gender=FIVE) == [1]
    assert asked(GenderCS={"CodesetId": 5}) == [1]
    assert asked(GenderCS={"CodesetId": 5, "IsExclusion": True}) == [2]


def test_both_spellings_must_hold_where_both_are_given(stays):
    both = {"Gender": [*FIVE, {"CONCEPT_ID": 6}], "GenderCS": {"CodesetId": 5}}
    assert who(stays, "Measurement", both, persons(3, gender_concept_id=SEXES)) == [1]


BIRTHS = (1980, 1981, None)
YEARS = {"year_of_birth": BIRTHS}


@pytest.mark.parametrize("kind", [*CLINICAL, "Specimen", "VisitOccurrence", "Death", "ImageOccurrence"])
def test_the_age_is_that_of_the_year_of_the_start(stays, kind):
    assert who(stays, kind, {"Age": {"Value": 40, "Op": "gte"}}, persons(3, **YEARS)) == [1]


NEW_YEAR = {"start": date(2020, 12, 31), "end": date(2021, 1, 1)}
SPANS = {
    "ConditionEra": ("condition_era_start_date", "condition_era_end_date"),
    "DrugEra": ("drug_era_start_date", "drug_era_end_date"),
    "DoseEra": ("dose_era_start_date", "dose_era_end_date"),
    "PayerPlanPeriod": ("payer_plan_period_start_date", "payer_plan_period_end_date"),
    "VisitDetail": ("visit_detail_start_date", "visit_detail_end_date"),
}


def over_new_year(kind: str) -> dict[str, Any]:
    first, last = SPANS[kind]
    return {first: (NEW_YEAR["start"],) * 3, last: (NEW_YEAR["end"],) * 3}


@pytest.mark.parametrize("kind", ERAS)
def test_an_era_has_an_age_at_its_start_and_one_at_its_end(stays, kind):
    for name, expected in (("AgeAtStart", [1]), ("AgeAtEnd", [1, 2])):
        asked = {name: {"Value": 40, "Op": "gte"}}
        assert who(stays, kind, asked, persons(3, **YEARS), **over_new_year(kind)) == expected


def test_the_age_of_a_visit_detail_is_that_at_its_end_as_circe_has_it(stays):
    asked = {"Age": {"Value": 40, "Op": "gte"}}
    assert who(stays, "VisitDetail", asked, persons(3, **YEARS), **over_new_year("VisitDetail")) == [1, 2]


@pytest.mark.parametrize("kind", [*CLINICAL, "ImageOccurrence"])
def test_the_visit_of_a_record_is_of_a_kind(stays, kind):
    def asked(**attributes: Any) -> list[int]:
        tables = persons(3)
        tables["visit_occurrence"] = [
            record("visit_occurrence", n, visit_concept_id=concept) for n, concept in ((1, 5), (2, 6), (3, 5))
        ]
        return who(stays, kind, attributes, tables, visit_occurrence_id=(1, 2, 1))

    assert asked(VisitType=FIVE) == [1]  # The visit of person 3's record is not theirs.
    assert asked(VisitTypeCS={"CodesetId": 5}) == [1]
    assert asked(VisitTypeCS={"CodesetId": 5, "IsExclusion": True}) == [2]


@pytest.mark.parametrize("kind", [*CLINICAL, "VisitOccurrence"])
def test_the_provider_of_a_record_has_a_specialty(stays, kind):
    def asked(**attributes: Any) -> list[int]:
        tables = persons(3)
        tables["provider"] = [
            {"provider_id": 1, "specialty_concept_id": 5},
            {"provider_id": 2, "specialty_concept_id": 6},
        ]
        return who(stays, kind, attributes, tables, provider_id=(1, 2, None))

    assert asked(ProviderSpecialty=FIVE) == [1]
    assert asked(ProviderSpecialtyCS={"CodesetId": 5}) == [1]
    assert asked(ProviderSpecialtyCS={"CodesetId": 5, "IsExclusion": True}) == [2]


@pytest.mark.parametrize("kind", ["VisitOccurrence", "VisitDetail"])
def test_the_care_site_of_a_visit_is_of_a_kind(stays, kind):
    def asked(**attributes: Any) -> list[int]:
        tables = persons(3)
        tables["care_site"] = [
            {"care_site_id": 1, "place_of_service_concept_id": 5},
            {"care_site_id": 2, "place_of_service_concept_id": 6},
        ]
        return who(stays, kind, attributes, tables, care_site_id=(1, 2, None))

    assert asked(PlaceOfServiceCS={"CodesetId": 5}) == [1]
    assert asked(PlaceOfServiceCS={"CodesetId": 5, "IsExclusion": True}) == [2]


def values(stays: Any, attributes: dict[str, Any], **fields: Any) -> list[int]:
    return who(stays, "Measurement", attributes, persons(3), **fields)


@pytest.mark.parametrize(
    "value, low, high, coded, expected",
    [
        ((1, 2, 3), (1.5, 1.5, 1.5), (2.5, 2.5, 2.5), (None, None, None), [1, 3]),
        ((1, 2, 3), (None, 2, 4), (None, None, None), (None, None, None), [3]),
        ((2, 2, 2), (1, 1, 1), (3, 3, 3), (4155142, 4155143, 4155144), [1, 2]),
        ((None, 2, 2), (1, 2, 1), (3, 2, 3), (None, None, 0), []),
    ],
)
def test_abnormal_is_outside_of_the_range_or_coded_as_abnormal(stays, value, low, high, coded, expected):
    fields = {"value_as_number": value, "range_low": low, "range_high": high, "value_as_concept_id": coded}
    assert values(stays, {"Abnormal": True}, **fields) == expected
    assert values(stays, {"Abnormal": False}, **fields) == [1, 2, 3]


@pytest.mark.parametrize("name, field", [("RangeLowRatio", "range_low"), ("RangeHighRatio", "range_high")])
def test_a_ratio_divides_the_value_by_a_bound_of_its_range_that_is_not_0(stays, name, field):
    asked = {name: {"Value": 2, "Op": "gte"}}
    assert values(stays, asked, value_as_number=(4.0, 3.9, 4.0), **{field: (2.0, 2.0, 0.0)}) == [1]
    assert values(stays, asked, value_as_number=(4.0, None, 4.0), **{field: (2.0, 2.0, None)}) == [1]
