"""Chapter 5. What an attribute of a criterion lets through: numbers, dates, concepts, persons."""

import pytest

from tests.support.circe_text import cohort, condition, group, rule

SIX_AGES = {
    "person": """
        person_id | gender_concept_id | year_of_birth | race_concept_id | ethnicity_concept_id
        1         | 8532              | 1981          | 8527            | 38003563
        2         | 8507              | 1980          | 8516            | 38003564
        3         | 8532              | 1979          | 8527            | 38003564
        4         | 0                 | 1970          | 0               | 0
        5         | 8521              |               | 8515            | 38003563
        6         |                   | 1920          |                 |
    """,
    "observation_period": "\n".join(
        [
            "observation_period_id | person_id | observation_period_start_date | observation_period_end_date",
            *(f"{number} | {number} | 2020-01-01 | 2020-12-31" for number in range(1, 7)),
        ]
    ),
    "condition_occurrence": "\n".join(
        [
            "condition_occurrence_id | person_id | condition_start_date | condition_end_date",
            *(f"{number} | {number} | 2020-0{number}-15 | 2020-0{number}-20" for number in range(1, 7)),
        ]
    ),
    "measurement": """
        measurement_id | person_id | measurement_date | value_as_number | value_as_concept_id
        1              | 1         | 2020-02-01       | -2.5            | 45
        2              | 2         | 2020-02-01       | 0               | 46
        3              | 3         | 2020-02-01       | 7.1             | 0
        4              | 4         | 2020-02-01       | 7.2             |
        5              | 5         | 2020-02-01       |                 | 45
    """,
}


@pytest.fixture
def persons(stays):
    """Return ``persons(criteria)``: who has an event of the criteria."""

    def found(criteria: dict, **parts: object) -> list[int]:
        return sorted({int(line.split(":")[0]) for line in stays(SIX_AGES, cohort(criteria, **parts))})

    return found


def between(low: object, high: object, op: str = "bt") -> dict:
    return {"Value": low, "Extent": high, "Op": op}


RANGES_OF_AGE = [
    ("lt", 40, [1]),
    ("lte", 40, [1, 2]),
    ("eq", 40, [2]),
    ("!eq", 40, [1, 3, 4, 6]),
    ("gt", 40, [3, 4, 6]),
    ("gte", 40, [2, 3, 4, 6]),
]


@pytest.mark.parametrize("op, value, expected", RANGES_OF_AGE)
def test_age_is_compared_and_an_unknown_age_never_holds(persons, op, value, expected):
    assert persons(condition(Age={"Value": value, "Op": op})) == expected


@pytest.mark.parametrize(
    "low, high, op, expected",
    [
        (40, 50, "bt", [2, 3, 4]),
        (41, 49, "bt", [3]),
        (40, 40, "bt", [2]),
        (50, 40, "bt", []),
        (40, 50, "!bt", [1, 6]),
        (50, 40, "!bt", [1, 2, 3, 4, 6]),
    ],
)
def test_between_takes_both_its_ends(persons, low, high, op, expected):
    assert persons(condition(Age=between(low, high, op))) == expected


def test_an_age_is_compared_with_whole_years(persons):
    assert persons(condition(Age={"Value": 40.5, "Op": "lt"})) == [1]


RANGES_OF_DATES = [
    ("lt", [1, 2]),
    ("lte", [1, 2, 3]),
    ("eq", [3]),
    ("!eq", [1, 2, 4, 5, 6]),
    ("gt", [4, 5, 6]),
    ("gte", [3, 4, 5, 6]),
]


@pytest.mark.parametrize("op, expected", RANGES_OF_DATES)
def test_the_start_is_compared_with_a_date(persons, op, expected):
    assert persons(condition(OccurrenceStartDate={"Value": "2020-03-15", "Op": op})) == expected


@pytest.mark.parametrize("op, expected", RANGES_OF_DATES)
def test_the_end_is_compared_with_a_date(persons, op, expected):
    assert persons(condition(OccurrenceEndDate={"Value": "2020-03-20", "Op": op})) == expected


@pytest.mark.parametrize("op, expected", [("bt", [2, 3]), ("!bt", [1, 4, 5, 6])])
def test_between_two_dates_takes_both_days(persons, op, expected):
    assert persons(condition(OccurrenceStartDate=between("2020-02-15", "2020-03-15", op))) == expected


RANGES_OF_VALUES = [
    ("lt", [1]),
    ("lte", [1, 2]),
    ("eq", [2]),
    ("!eq", [1, 3, 4]),
    ("gt", [3, 4]),
    ("gte", [2, 3, 4]),
]


@pytest.mark.parametrize("domain", ["Measurement", "Observation"])
@pytest.mark.parametrize("op, expected", RANGES_OF_VALUES)
def test_a_value_is_compared_and_an_absent_one_never_holds(stays, domain, op, expected):
    name = domain.lower()
    tables = {**SIX_AGES, name: SIX_AGES["measurement"].replace("measurement", name)}
    found = stays(tables, cohort({domain: {"ValueAsNumber": {"Value": 0, "Op": op}}}))
    assert [int(line.split(":")[0]) for line in found] == expected


@pytest.mark.parametrize(
    "low, high, op, expected",
    [(-2.5, 7.1, "bt", [1, 2, 3]), (7.15, 7.2, "bt", [4]), (0, 7.1, "!bt", [1, 4])],
)
def test_a_value_may_be_a_fraction_or_negative(persons, low, high, op, expected):
    assert persons({"Measurement": {"ValueAsNumber": between(low, high, op)}}) == expected


@pytest.mark.parametrize(
    "concepts, expected", [([45], [1, 5]), ([46, 45], [1, 2, 5]), ([0], [3]), ([47], [])]
)
def test_a_coded_value_is_one_of_the_concepts(persons, concepts, expected):
    wanted = [{"CONCEPT_ID": concept} for concept in concepts]
    assert persons({"Measurement": {"ValueAsConcept": wanted}}) == expected


def test_an_empty_list_of_concepts_states_nothing(persons):
    assert persons({"Measurement": {"ValueAsConcept": []}}) == [1, 2, 3, 4, 5]
    assert persons(condition(Gender=[])) == [1, 2, 3, 4, 5, 6]


def test_all_attributes_of_a_criterion_must_hold(persons):
    both = {"Age": {"Value": 40, "Op": "gte"}, "Gender": [{"CONCEPT_ID": 8532}]}
    assert persons(condition(**both)) == [3]
    assert persons(condition(**both, OccurrenceStartDate={"Value": "2020-03-15", "Op": "gt"})) == []


DEMOGRAPHICS = [
    ({"Age": {"Value": 41, "Op": "gte"}}, [3, 4, 6]),
    ({"Gender": [{"CONCEPT_ID": 8532}]}, [1, 3]),
    ({"Gender": [{"CONCEPT_ID": 0}]}, [4]),
    ({"Race": [{"CONCEPT_ID": 8527}, {"CONCEPT_ID": 8516}]}, [1, 2, 3]),
    ({"Ethnicity": [{"CONCEPT_ID": 38003563}]}, [1, 5]),
    ({"OccurrenceStartDate": {"Value": "2020-04-15", "Op": "lt"}}, [1, 2, 3]),
    ({"OccurrenceEndDate": {"Value": "2020-04-20", "Op": "gte"}}, [4, 5, 6]),
    ({"Age": {"Value": 41, "Op": "gte"}, "Race": [{"CONCEPT_ID": 8527}]}, [3]),
    ({}, [1, 2, 3, 4, 5, 6]),
]


@pytest.mark.parametrize("facts, expected", DEMOGRAPHICS)
def test_a_rule_can_ask_for_facts_of_the_person_at_the_event(persons, facts, expected):
    assert persons(condition(), InclusionRules=[rule(group("ALL", facts))]) == expected


@pytest.mark.parametrize("facts, expected", DEMOGRAPHICS)
def test_additional_criteria_can_ask_for_the_same_facts(persons, facts, expected):
    assert persons(condition(), AdditionalCriteria=group("ALL", facts)) == expected


@pytest.mark.parametrize("facts", [facts for facts, _ in DEMOGRAPHICS])
def test_facts_of_a_person_without_a_row_never_hold(stays, facts):
    nobody = {**SIX_AGES, "person": "person_id | gender_concept_id"}
    found = stays(nobody, cohort(condition(), InclusionRules=[rule(group("ALL", facts))]))
    assert found == []


def test_age_is_counted_by_years_alone(stays):
    around_new_year = {
        "person": "person_id | year_of_birth\n1 | 1980",
        "observation_period": """
            observation_period_id | person_id | observation_period_start_date | observation_period_end_date
            1                     | 1         | 2019-01-01                    | 2021-12-31
        """,
        "condition_occurrence": """
            condition_occurrence_id | person_id | condition_start_date
            1                       | 1         | 2019-12-31
            2                       | 1         | 2020-01-01
        """,
    }
    grown = cohort(
        condition(Age={"Value": 40, "Op": "gte"}),
        EndStrategy={"DateOffset": {"DateField": "StartDate", "Offset": 0}},
    )
    assert stays(around_new_year, grown) == ["1: 2020-01-01 to 2020-01-01"]
