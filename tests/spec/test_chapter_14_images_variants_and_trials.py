"""Chapter 14. Images, variants and trials: where ATLAS stops, the same shape goes on."""

from datetime import date
from typing import Any

import pytest

from tests.support.circe_text import (
    AT_LEAST,
    AT_MOST,
    cohort,
    condition,
    counted,
    group,
    item,
    rule,
    window,
)
from tests.support.records import persons, record

CT, MRI = [{"CONCEPT_ID": 10}], [{"CONCEPT_ID": 11}]
SETS = [{"id": 0, "name": "ten", "expression": {"items": [item(10)]}}]
OWN = {"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 0}}, "ConceptSets": SETS}


def imaged() -> dict[str, Any]:
    """Person 1 had two CT series of one study and an MRI in a second; person 2 one CT."""
    tables = persons(2)
    tables["image_occurrence"] = [
        record("image_occurrence", key, person_id=person, modality_concept_id=modality, image_study_uid=study,
               image_occurrence_date=date(2020, 3, day))
        for key, person, modality, study, day in (
            (1, 1, 10, "1.1", 1), (2, 1, 10, "1.1", 1), (3, 1, 11, "1.2", 5), (4, 2, 10, "2.1", 1),
        )
    ]  # fmt: skip
    tables["measurement"] = [
        record(
            "measurement", 1, person_id=1, value_as_number=12.5, unit_concept_id=10, value_as_concept_id=11
        ),
        record("measurement", 2, person_id=2, value_as_number=4.0, unit_concept_id=11),
    ]
    tables["observation"] = [record("observation", 2, person_id=2, value_as_number=40.0)]
    tables["image_feature"] = [
        record("image_feature", 1, person_id=1, image_occurrence_id=3, image_feature_concept_id=10,
               image_feature_event_field_concept_id=1147138, image_feature_event_id=1),
        record("image_feature", 2, person_id=2, image_occurrence_id=4, image_feature_concept_id=12,
               image_feature_event_field_concept_id=1147165, image_feature_event_id=2),
    ]  # fmt: skip
    return tables


def people(stays: Any, tables: dict[str, Any], asked: dict[str, Any]) -> list[int]:
    return sorted({int(row.split(":")[0]) for row in stays(tables, asked)})


@pytest.mark.parametrize(
    "attributes, expected",
    [
        ({}, [1, 2]),
        ({"CodesetId": 0}, [1, 2]),
        ({"Modality": MRI}, [1]),
        ({"Modality": MRI, "CodesetId": 0}, []),
        ({"OccurrenceStartDate": {"Value": "2020-03-01", "Op": "gt"}}, [1]),
    ],
)
def test_an_imaging_series_is_an_event_and_its_concept_is_the_modality(stays, attributes, expected):
    assert people(stays, imaged(), cohort({"ImageOccurrence": attributes}, **OWN)) == expected


@pytest.mark.parametrize("number, series, studies", [(1, [1, 2], [1, 2]), (2, [1], [1]), (3, [1], [])])
def test_series_and_studies_can_be_counted(stays, number, series, studies):
    def asked(distinct: bool) -> dict[str, Any]:
        around = counted({"ImageOccurrence": {}}, number, AT_LEAST, distinct=distinct,
                         StartWindow=window("-all", "+all"))  # fmt: skip
        if distinct:
            around["Occurrence"]["CountColumn"] = "IMAGE_STUDY"
        return cohort({"ObservationPeriod": {}}, InclusionRules=[rule(group("ALL", around))], **OWN)

    assert people(stays, imaged(), asked(distinct=False)) == series
    assert people(stays, imaged(), asked(distinct=True)) == studies


def test_a_feature_is_of_the_day_of_its_image(stays):
    assert stays(imaged(), cohort({"ImageFeature": {}}, **OWN)) == [
        "1: 2020-03-05 to 2020-03-06",
        "2: 2020-03-01 to 2020-03-02",
    ]


def test_a_feature_without_its_image_is_no_event(stays):
    tables = imaged()
    tables["image_occurrence"] = tables["image_occurrence"][3:]
    assert people(stays, tables, cohort({"ImageFeature": {}}, **OWN)) == [2]


@pytest.mark.parametrize(
    "attributes, expected",
    [
        ({"CodesetId": 0}, [1]),
        ({"Modality": MRI}, [1]),
        ({"ModalityCS": {"CodesetId": 0}}, [2]),
        ({"ValueAsNumber": {"Value": 12.5, "Op": "gte"}}, [1, 2]),
        ({"ValueAsNumber": {"Value": 12.5, "Op": "lte"}}, [1]),
        ({"Unit": CT}, [1]),
        ({"UnitCS": {"CodesetId": 0, "IsExclusion": True}}, []),
        ({"ValueAsConcept": MRI}, [1]),
        ({"ValueAsConceptCS": {"CodesetId": 0}}, []),
    ],
)
def test_a_feature_has_the_value_of_the_measurement_or_observation_that_it_points_to(
    stays, attributes, expected
):
    assert people(stays, imaged(), cohort({"ImageFeature": attributes}, **OWN)) == expected


@pytest.mark.parametrize("field", [None, 1, 1147165])
def test_a_feature_that_points_elsewhere_has_no_value(stays, field):
    tables = imaged()
    tables["image_feature"] = [tables["image_feature"][0] | {"image_feature_event_field_concept_id": field}]
    asked = {"ValueAsNumber": {"Value": 0, "Op": "gt"}}
    assert people(stays, tables, cohort({"ImageFeature": asked}, **OWN)) == []


def sequenced() -> dict[str, Any]:
    """Person 1 has a somatic BRAF variant a week after a diagnosis; person 2 the same before it."""
    tables = persons(2)
    tables["condition_occurrence"] = [record("condition_occurrence", n) for n in (1, 2)]
    tables["variant_occurrence"] = [
        record("variant_occurrence", n, gene_symbol="BRAF", hgvs_p="p.Val600Glu", origin="somatic",
               variant_source_value="rs113488022", variant_concept_id=10, variant_date=day)
        for n, day in ((1, date(2020, 3, 8)), (2, date(2020, 2, 1)))
    ]  # fmt: skip
    return tables


def test_a_variant_is_found_by_its_concept_or_by_the_code_of_the_laboratory(stays):
    coded = [{"id": 0, "name": "code", "SourceCodes": [{"vocabulary": "dbSNP", "code": "rs113488022"}]}]
    for sets in (SETS, coded):
        asked = cohort({"VariantOccurrence": {"CodesetId": 0}}, **{**OWN, "ConceptSets": sets})
        assert people(stays, sequenced(), asked) == [1, 2]


def test_a_variant_may_be_asked_for_around_a_diagnosis(stays):
    braf = {"VariantOccurrence": {"Gene": ["BRAF"], "HgvsP": {"Text": "Val600", "Op": "contains"}}}
    after = rule(group("ALL", counted(braf, StartWindow=window("+0", "+30"))))
    assert people(stays, sequenced(), cohort(condition(), InclusionRules=[after], **OWN)) == [1]
    never = rule(group("ALL", counted(braf, 0, AT_MOST, StartWindow=window("+0", "+30"))))
    assert people(stays, sequenced(), cohort(condition(), InclusionRules=[never], **OWN)) == [2]


def in_a_trial() -> dict[str, Any]:
    """Person 1 was treated in arm A of trial T1 and progressed; person 2 is in arm B and is censored."""
    tables = persons(2)
    tables["trial_subject"] = [
        record("trial_subject", n, trial_code="T1", arm_code=arm, end_date=date(2020, 9, 1))
        for n, arm in ((1, "A"), (2, "B"))
    ]
    tables["trial_exposure"] = [
        record("trial_exposure", 1, trial_code="T1", drug_concept_id=10, treatment_source_value="DRUG X")
    ]
    ended = {"trial_code": "T1", "endpoint_code": "PFS", "endpoint_date": date(2020, 6, 1)}
    tables["trial_endpoint"] = [
        record("trial_endpoint", n, censored=code, **ended) for n, code in ((1, 0), (2, 1))
    ]
    return tables


def test_a_participation_lasts_from_the_first_to_the_last_day(stays):
    assert stays(in_a_trial(), cohort({"TrialParticipation": {"Arm": ["B"]}}, **OWN)) == [
        "2: 2020-03-01 to 2020-09-01"
    ]


def test_study_treatment_is_found_by_drug_or_by_name(stays):
    assert people(stays, in_a_trial(), cohort({"TrialExposure": {"CodesetId": 0}}, **OWN)) == [1]
    named = {"Treatment": {"Text": "DRUG", "Op": "startsWith"}, "Trial": ["T1", "T2"]}
    assert people(stays, in_a_trial(), cohort({"TrialExposure": named}, **OWN)) == [1]


@pytest.mark.parametrize("censored, expected", [(False, [1]), (True, [2]), (None, [1, 2])])
def test_an_endpoint_is_an_event_or_censored(stays, censored, expected):
    asked = {"Endpoint": ["PFS"], "Censored": censored}
    assert people(stays, in_a_trial(), cohort({"TrialEndpoint": asked}, **OWN)) == expected


def test_a_trial_may_censor_what_a_diagnosis_opens(stays):
    tables = in_a_trial()
    tables["condition_occurrence"] = [record("condition_occurrence", n) for n in (1, 2)]
    asked = cohort(condition(), ConceptSets=[], CensoringCriteria=[{"TrialEndpoint": {"Censored": False}}])
    assert stays(tables, asked) == ["1: 2020-03-01 to 2020-06-01", "2: 2020-03-01 to 2020-12-31"]
