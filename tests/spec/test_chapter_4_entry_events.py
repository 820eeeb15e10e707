# ruff: noqa: E501 - tables are as wide as their columns
"""Chapter 4. Which records of each domain let a person into a cohort, and with which dates.

Person 1 has three records: of concept 10 on 1 February, of concept 11 with the source code C19 on 1 March,
and of concept 10 on 1 May. Person 2 has one of concept 10 before the observation begins. Person 3 has one
without a start date, which is no event.
"""

import pytest

from tests.support.circe_text import CODES, COLON, cohort

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
        2                     | 2         | 2020-06-01                    | 2020-12-31
        3                     | 3         | 2020-01-01                    | 2020-12-31
    """,
}

DATED = {
    "ConditionOccurrence": """
        condition_occurrence_id | person_id | condition_concept_id | condition_start_date | condition_end_date | condition_source_value
        1                       | 1         | 10                   | 2020-02-01           | 2020-02-10         | C18
        2                       | 1         | 11                   | 2020-03-01           |                    | C19
        3                       | 1         | 10                   | 2020-05-01           | 2020-05-01         | C18
        4                       | 2         | 10                   | 2020-02-01           |                    | C18
        5                       | 3         | 10                   |                      | 2020-02-02         | C18
    """,
    "DrugExposure": """
        drug_exposure_id | person_id | drug_concept_id | drug_exposure_start_date | drug_exposure_end_date | drug_source_value
        1                | 1         | 10              | 2020-02-01               | 2020-02-10             | C18
        2                | 1         | 11              | 2020-03-01               |                        | C19
        3                | 1         | 10              | 2020-05-01               | 2020-05-01             | C18
        4                | 2         | 10              | 2020-02-01               |                        | C18
        5                | 3         | 10              |                          | 2020-02-02             | C18
    """,
    "ProcedureOccurrence": """
        procedure_occurrence_id | person_id | procedure_concept_id | procedure_date | procedure_end_date | procedure_source_value
        1                       | 1         | 10                   | 2020-02-01     | 2020-02-10         | C18
        2                       | 1         | 11                   | 2020-03-01     |                    | C19
        3                       | 1         | 10                   | 2020-05-01     | 2020-05-01         | C18
        4                       | 2         | 10                   | 2020-02-01     |                    | C18
        5                       | 3         | 10                   |                | 2020-02-02         | C18
    """,
    "DeviceExposure": """
        device_exposure_id | person_id | device_concept_id | device_exposure_start_date | device_exposure_end_date | device_source_value
        1                  | 1         | 10                | 2020-02-01                 | 2020-02-10               | C18
        2                  | 1         | 11                | 2020-03-01                 |                          | C19
        3                  | 1         | 10                | 2020-05-01                 | 2020-05-01               | C18
        4                  | 2         | 10                | 2020-02-01                 |                          | C18
        5                  | 3         | 10                |                            | 2020-02-02               | C18
    """,
    "VisitOccurrence": """
        visit_occurrence_id | person_id | visit_concept_id | visit_start_date | visit_end_date | visit_source_value
        1                   | 1         | 10               | 2020-02-01       | 2020-02-10     | C18
        2                   | 1         | 11               | 2020-03-01       | 2020-03-02     | C19
        3                   | 1         | 10               | 2020-05-01       | 2020-05-01     | C18
        4                   | 2         | 10               | 2020-02-01       |                | C18
        5                   | 3         | 10               |                  | 2020-02-02     | C18
    """,
    "Measurement": """
        measurement_id | person_id | measurement_concept_id | measurement_date | measurement_source_value
        1              | 1         | 10                     | 2020-02-01       | C18
        2              | 1         | 11                     | 2020-03-01       | C19
        3              | 1         | 10                     | 2020-05-01       | C18
        4              | 2         | 10                     | 2020-02-01       | C18
        5              | 3         | 10                     |                  | C18
    """,
    "Observation": """
        observation_id | person_id | observation_concept_id | observation_date | observation_source_value
        1              | 1         | 10                     | 2020-02-01       | C18
        2              | 1         | 11                     | 2020-03-01       | C19
        3              | 1         | 10                     | 2020-05-01       | C18
        4              | 2         | 10                     | 2020-02-01       | C18
        5              | 3         | 10                     |                  | C18
    """,
    "Specimen": """
        specimen_id | person_id | specimen_concept_id | specimen_date | specimen_source_value
        1           | 1         | 10                  | 2020-02-01    | C18
        2           | 1         | 11                  | 2020-03-01    | C19
        3           | 1         | 10                  | 2020-05-01    | C18
        4           | 2         | 10                  | 2020-02-01    | C18
        5           | 3         | 10                  |               | C18
    """,
    "ConditionEra": """
        condition_era_id | person_id | condition_concept_id | condition_era_start_date | condition_era_end_date
        1                | 1         | 10                   | 2020-02-01               | 2020-02-10
        2                | 1         | 11                   | 2020-03-01               | 2020-03-02
        3                | 1         | 10                   | 2020-05-01               | 2020-05-01
        4                | 2         | 10                   | 2020-02-01               | 2020-02-02
    """,
    "DrugEra": """
        drug_era_id | person_id | drug_concept_id | drug_era_start_date | drug_era_end_date
        1           | 1         | 10              | 2020-02-01          | 2020-02-10
        2           | 1         | 11              | 2020-03-01          | 2020-03-02
        3           | 1         | 10              | 2020-05-01          | 2020-05-01
        4           | 2         | 10              | 2020-02-01          | 2020-02-02
    """,
}  # fmt: skip
TABLE_OF = {
    "ConditionOccurrence": "condition_occurrence",
    "DrugExposure": "drug_exposure",
    "ProcedureOccurrence": "procedure_occurrence",
    "DeviceExposure": "device_exposure",
    "VisitOccurrence": "visit_occurrence",
    "Measurement": "measurement",
    "Observation": "observation",
    "Specimen": "specimen",
    "ConditionEra": "condition_era",
    "DrugEra": "drug_era",
}
ERAS = {"ConditionEra", "DrugEra"}
WITH_ENDS = ["ConditionOccurrence", "DrugExposure", "DeviceExposure", "VisitOccurrence"]
WITHOUT_ENDS = ["Measurement", "Observation", "Specimen"]
domains = pytest.mark.parametrize("domain", sorted(DATED))


def at(domain: str) -> dict[str, str]:
    return {**PEOPLE, TABLE_OF[domain]: DATED[domain]}


def one_day(**rest: object) -> dict:
    """Let each event last for its own day, so that a stay shows the event's start."""
    return {"EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 0}}, **rest}


def own_end(**rest: object) -> dict:
    """Let each event last to its own end."""
    return {"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 0}}, **rest}


def starts(stays, domain: str, *, entry: str = "All", **attributes: object) -> list[str]:
    found = stays(at(domain), cohort({domain: attributes}, entry=entry, **one_day()))
    return [line.split(" to ")[0] for line in found]


@domains
def test_without_a_concept_set_every_record_inside_observation_is_an_event(stays, domain):
    assert starts(stays, domain) == ["1: 2020-02-01", "1: 2020-03-01", "1: 2020-05-01"]


@domains
def test_a_concept_set_takes_the_records_of_its_concepts(stays, domain):
    assert starts(stays, domain, CodesetId=COLON) == ["1: 2020-02-01", "1: 2020-05-01"]


@domains
def test_a_source_code_takes_the_records_that_were_written_with_it(stays, domain):
    found = starts(stays, domain, CodesetId=CODES)
    assert found == ([] if domain in ERAS else ["1: 2020-03-01"])


@domains
def test_first_takes_the_first_record_of_the_concept_set(stays, domain):
    assert starts(stays, domain, CodesetId=COLON, First=True) == ["1: 2020-02-01"]


@domains
def test_a_first_record_before_observation_is_no_entry_and_no_later_one_steps_in(stays, domain):
    earlier = at(domain)
    earlier["observation_period"] = PEOPLE["observation_period"].replace("2020-01-01", "2020-04-01")
    criteria = {domain: {"CodesetId": COLON, "First": True}}
    assert stays(earlier, cohort(criteria, **one_day())) == []
    assert stays(earlier, cohort({domain: {"CodesetId": COLON}}, **one_day())) == [
        "1: 2020-05-01 to 2020-05-01"
    ]


@domains
def test_first_is_chosen_before_the_dates_are_looked_at(stays, domain):
    name = "EraStartDate" if domain in ERAS else "OccurrenceStartDate"
    spring = {name: {"Value": "2020-03-15", "Op": "gt"}}
    assert starts(stays, domain, CodesetId=COLON, **spring) == ["1: 2020-05-01"]
    assert starts(stays, domain, CodesetId=COLON, First=True, **spring) == []


@pytest.mark.parametrize("domain", sorted(set(DATED) - {"DrugExposure"}))
def test_the_end_date_of_an_event_can_be_asked_for(stays, domain):
    name = "EraEndDate" if domain in ERAS else "OccurrenceEndDate"
    ends = {"Value": "2020-03-02", "Op": "eq"}
    assert starts(stays, domain, **{name: ends}) == ["1: 2020-03-01"]


def test_the_end_date_of_a_drug_is_compared_with_its_start_as_circe_does(stays):
    asked = {"OccurrenceEndDate": {"Value": "2020-02-01", "Op": "eq"}}
    assert starts(stays, "DrugExposure", **asked) == ["1: 2020-02-01"]


def test_a_visit_without_an_end_has_no_end_date(stays):
    tables = at("VisitOccurrence")
    tables["visit_occurrence"] = tables["visit_occurrence"].replace("2020-03-02", "          ")
    later = cohort(
        {"VisitOccurrence": {"OccurrenceEndDate": {"Value": "2020-01-01", "Op": "gt"}}}, **one_day()
    )
    assert [line.split(" to ")[0] for line in stays(tables, later)] == ["1: 2020-02-01", "1: 2020-05-01"]
    assert len(stays(tables, cohort({"VisitOccurrence": {}}, **one_day()))) == 3
    assert stays(tables, cohort({"VisitOccurrence": {}}, **own_end())) == [
        "1: 2020-02-01 to 2020-02-10",
        "1: 2020-05-01 to 2020-05-01",
    ]


@domains
def test_the_sex_of_the_person_can_be_asked_for(stays, domain):
    women, men = [{"CONCEPT_ID": 8532}], [{"CONCEPT_ID": 8507}]
    assert starts(stays, domain, CodesetId=COLON, Gender=women) == ["1: 2020-02-01", "1: 2020-05-01"]
    assert starts(stays, domain, CodesetId=COLON, Gender=men) == []
    assert len(starts(stays, domain, CodesetId=COLON, Gender=women + men)) == 2


@pytest.mark.parametrize("domain", sorted(set(DATED) - ERAS))
def test_age_is_that_of_the_year_in_which_the_event_starts(stays, domain):
    assert len(starts(stays, domain, Age={"Value": 60, "Op": "eq"})) == 3
    assert starts(stays, domain, Age={"Value": 59, "Op": "lte"}) == []


@pytest.mark.parametrize("limit, start", [("First", "2020-02-01"), ("Last", "2020-05-01")])
@domains
def test_an_entry_limit_keeps_the_first_or_the_last_event(stays, domain, limit, start):
    assert starts(stays, domain, entry=limit) == [f"1: {start}"]


@pytest.mark.parametrize("domain", [*WITH_ENDS, *sorted(ERAS)])
def test_an_event_ends_as_recorded_or_else_on_the_next_day(stays, domain):
    assert stays(at(domain), cohort({domain: {}}, **own_end())) == [
        "1: 2020-02-01 to 2020-02-10",
        "1: 2020-03-01 to 2020-03-02",
        "1: 2020-05-01 to 2020-05-01",
    ]


@pytest.mark.parametrize("domain", WITHOUT_ENDS)
def test_an_event_of_a_moment_ends_on_the_next_day(stays, domain):
    assert stays(at(domain), cohort({domain: {}}, **own_end())) == [
        "1: 2020-02-01 to 2020-02-02",
        "1: 2020-03-01 to 2020-03-02",
        "1: 2020-05-01 to 2020-05-02",
    ]


def test_a_procedure_ends_on_the_next_day_whatever_end_is_recorded(stays):
    assert stays(at("ProcedureOccurrence"), cohort({"ProcedureOccurrence": {}}, **own_end())) == [
        "1: 2020-02-01 to 2020-02-02",
        "1: 2020-03-01 to 2020-03-02",
        "1: 2020-05-01 to 2020-05-02",
    ]


@pytest.mark.parametrize(
    "recorded, supply, end",
    [
        ("2020-02-05", "30", "2020-02-05"),
        ("", "30", "2020-03-02"),
        ("", "0", "2020-02-01"),
        ("", "", "2020-02-02"),
    ],
)
def test_a_drug_without_an_end_lasts_for_its_days_of_supply(stays, recorded, supply, end):
    drugs = f"""
        drug_exposure_id | person_id | drug_exposure_start_date | drug_exposure_end_date | days_supply
        1                | 1         | 2020-02-01               | {recorded}             | {supply}
    """
    found = stays({**PEOPLE, "drug_exposure": drugs}, cohort({"DrugExposure": {}}, **own_end()))
    assert found == [f"1: 2020-02-01 to {end}"]


DEATHS = {
    **PEOPLE,
    "death": """
        person_id | death_date | cause_concept_id | cause_source_value
        1         | 2020-07-01 | 10               | C18
        2         | 2020-07-02 | 11               | C19
        3         | 2021-01-01 | 10               | C18
    """,
}


@pytest.mark.parametrize(
    "attributes, persons",
    [
        ({}, [1, 2]),
        ({"CodesetId": COLON}, [1]),
        ({"CodesetId": CODES}, [2]),
        ({"Gender": [{"CONCEPT_ID": 8507}]}, [2]),
        ({"Age": {"Value": 40, "Op": "gt"}}, [1]),
        ({"OccurrenceStartDate": {"Value": "2020-07-02", "Op": "gte"}}, [2]),
    ],
)
def test_a_death_inside_observation_is_an_event(stays, attributes, persons):
    found = stays(DEATHS, cohort({"Death": attributes}, **one_day()))
    assert [int(line.split(":")[0]) for line in found] == persons


PERIODS = {
    "person": PEOPLE["person"],
    "observation_period": """
        observation_period_id | person_id | observation_period_start_date | observation_period_end_date
        1                     | 1         | 2020-01-01                    | 2020-03-31
        2                     | 1         | 2020-06-01                    | 2020-12-31
        3                     | 2         | 2019-01-01                    | 2020-12-31
    """,
}


@pytest.mark.parametrize(
    "attributes, expected",
    [
        ({}, ["1: 2020-01-01", "1: 2020-06-01", "2: 2019-01-01"]),
        ({"First": True}, ["1: 2020-01-01", "2: 2019-01-01"]),
        ({"PeriodStartDate": {"Value": "2020-01-01", "Op": "gte"}}, ["1: 2020-01-01", "1: 2020-06-01"]),
        ({"PeriodEndDate": {"Value": "2020-03-31", "Op": "eq"}}, ["1: 2020-01-01"]),
        ({"First": True, "PeriodStartDate": {"Value": "2020-02-01", "Op": "gt"}}, []),
    ],
)
def test_an_observation_period_is_an_event_itself(stays, attributes, expected):
    found = stays(PERIODS, cohort({"ObservationPeriod": attributes}, **one_day()))
    assert [line.split(" to ")[0] for line in found] == expected


def test_several_criteria_are_joined_by_or(stays):
    tables = {**at("ConditionOccurrence"), "death": DEATHS["death"]}
    either = cohort({"ConditionOccurrence": {"CodesetId": CODES}}, {"Death": {}}, **one_day())
    assert [line.split(" to ")[0] for line in stays(tables, either)] == [
        "1: 2020-03-01",
        "1: 2020-07-01",
        "2: 2020-07-02",
    ]


@pytest.mark.parametrize("before, after, entries", [
    (31, 0, 3), (32, 0, 2), (60, 0, 2), (61, 0, 1), (121, 0, 1), (122, 0, 0),
    (0, 244, 3), (0, 245, 2), (0, 305, 2), (0, 306, 1), (0, 334, 1), (0, 335, 0),
    (31, 305, 2), (60, 305, 1), (61, 305, 0),
])  # fmt: skip
def test_an_entry_needs_its_days_of_observation_on_both_sides(stays, before, after, entries):
    observed = {"PriorDays": before, "PostDays": after}
    found = stays(
        at("ConditionOccurrence"),
        cohort({"ConditionOccurrence": {}}, ObservationWindow=observed, **one_day()),
    )
    assert len(found) == entries


def test_days_of_observation_are_not_added_up_over_a_gap(stays):
    needed = {"PriorDays": 200, "PostDays": 0}
    one = "measurement_id | person_id | measurement_date\n1 | 1 | 2020-07-01"
    asked = cohort({"Measurement": {}}, ObservationWindow=needed, **one_day())
    assert stays({**PERIODS, "measurement": one}, asked) == []
