"""Chapter 1. Who is in a cohort, and how many each rule leaves."""

import pytest

PEOPLE = {
    "person": """
        person_id | gender_concept_id | year_of_birth
        1         | 8532              | 1960
        2         | 8507              | 1980
        3         | 8532              | 2000
    """,
    "observation_period": """
        observation_period_id | person_id | observation_period_start_date | observation_period_end_date
        1                     | 1         | 2020-01-01                    | 2020-12-31
        2                     | 2         | 2020-01-01                    | 2020-12-31
        3                     | 3         | 2020-06-01                    | 2020-12-31
    """,
    "condition_occurrence": """
        condition_occurrence_id | person_id | condition_concept_id | condition_start_date | condition_source_value
        1                       | 1         | 10                   | 2020-02-01           | C18
        2                       | 1         | 10                   | 2020-05-01           | C18
        3                       | 2         | 11                   | 2020-03-01           | C19
        4                       | 3         | 10                   | 2020-02-01           | C18
    """,  # noqa: E501
    "drug_exposure": """
        drug_exposure_id | person_id | drug_concept_id | drug_exposure_start_date
        1                | 1         | 20              | 2020-05-03
        2                | 2         | 20              | 2020-01-15
    """,
}
SETS = [
    {"id": 0, "name": "colon", "expression": {"items": [{"concept": {"CONCEPT_ID": 10}}]}},
    {"id": 1, "name": "drug", "expression": {"items": [{"concept": {"CONCEPT_ID": 20}}]}},
    {"id": 2, "name": "codes", "SourceCodes": [{"vocabulary": "ICD10", "code": "C19"}]},
]


def cohort(codeset: int | None = None, *rules: dict, limit: str = "All", **rest: object) -> dict:
    body = {} if codeset is None else {"CodesetId": codeset}
    return {
        "ConceptSets": SETS,
        "PrimaryCriteria": {
            "CriteriaList": [{"ConditionOccurrence": body}],
            "PrimaryCriteriaLimit": {"Type": limit},
        },
        "ExpressionLimit": {"Type": "All"},
        "InclusionRules": list(rules),
        **rest,
    }


def rule(name: str, group: dict) -> dict:
    return {"name": name, "expression": {"Type": "ALL", **group}}


WOMEN = rule("women", {"DemographicCriteriaList": [{"Gender": [{"CONCEPT_ID": 8532}]}]})


def drug_within(before: int, after: int) -> dict:
    window = {"Start": {"Days": before, "Coeff": -1}, "End": {"Days": after, "Coeff": 1}}
    criterion = {
        "Criteria": {"DrugExposure": {"CodesetId": 1}},
        "StartWindow": window,
        "Occurrence": {"Type": 2, "Count": 1},
    }
    return rule("drug", {"CriteriaList": [criterion]})


def steps(answer) -> list[tuple[str, int]]:
    return [(step.name, step.persons) for step in answer.attrition]


def test_a_person_enters_by_a_record_inside_an_observation_period(ask):
    answer = ask(PEOPLE, {"method": "count"}, cohort(0))
    assert answer.persons == 1
    assert steps(answer) == [("entry events", 1)]


def test_persons_are_counted_once_however_many_records_they_have(ask):
    assert ask(PEOPLE, {"method": "count"}, cohort()).persons == 2


def test_a_source_code_finds_a_record_without_vocabularies(ask):
    assert ask(PEOPLE, {"method": "count"}, cohort(2)).persons == 1


def test_attrition_adds_the_rules_in_their_order(ask):
    answer = ask(PEOPLE, {"method": "count"}, cohort(None, WOMEN, drug_within(0, 7)))
    assert steps(answer) == [("entry events", 2), ("women", 1), ("drug", 1)]
    assert answer.persons == 1


def test_an_event_passes_all_rules_or_none_counts(ask):
    only_first_entry = cohort(None, WOMEN, drug_within(0, 7), limit="First")
    assert steps(ask(PEOPLE, {"method": "count"}, only_first_entry)) == [
        ("entry events", 2),
        ("women", 1),
        ("drug", 0),
    ]


@pytest.mark.parametrize("after, persons", [(1, 0), (2, 1), (3, 1)])
def test_the_last_day_of_a_window_belongs_to_it(ask, after, persons):
    assert ask(PEOPLE, {"method": "count"}, cohort(0, drug_within(0, after))).persons == persons


@pytest.mark.parametrize("prior, persons", [(0, 1), (31, 1), (120, 1), (121, 1), (122, 0)])
def test_an_entry_event_needs_its_days_of_observation_before(ask, prior, persons):
    expression = cohort(0)
    expression["PrimaryCriteria"]["ObservationWindow"] = {"PriorDays": prior, "PostDays": 0}
    assert ask(PEOPLE, {"method": "count"}, expression).persons == persons


def test_a_site_without_matching_records_answers_zero(ask):
    empty = {**PEOPLE, "condition_occurrence": PEOPLE["condition_occurrence"].split("\n", 2)[1]}
    answer = ask(empty, {"method": "count"}, cohort(0, WOMEN))
    assert steps(answer) == [("entry events", 0), ("women", 0)]


def test_a_cohort_whose_end_may_come_before_its_start_shows_that_step(ask):
    ended = cohort(0, EndStrategy={"DateOffset": {"DateField": "StartDate", "Offset": -1}})
    assert steps(ask(PEOPLE, {"method": "count"}, ended)) == [("entry events", 1), ("in cohort", 0)]


def test_the_index_date_is_the_first_day_in_the_cohort(ask):
    by = {
        "name": "drug_later",
        "definition": {
            "kind": "presence",
            "domain": "drug",
            "codes": {"concept_ids": [20]},
            "window": {"start": 92, "end": 92},
        },
    }
    table = ask(PEOPLE, {"method": "count", "by": [by]}, cohort(0)).by
    assert table.persons == {("yes",): 1, ("no",): 0}
