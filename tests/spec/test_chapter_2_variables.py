"""Chapter 2. What a variable says of a person at the index date."""

import pytest

from atoll_node.errors import EngineError

PEOPLE = {
    "person": """
        person_id | gender_concept_id | year_of_birth | race_concept_id
        1         | 8532              | 1960          | 8527
        2         | 8507              | 1970          | 0
        3         | 8521              |               | 1
        4         | 0                 | 1925          | 8515
    """,
    "observation_period": """
        observation_period_id | person_id | observation_period_start_date | observation_period_end_date
        1                     | 1         | 2020-01-10                    | 2020-12-31
        2                     | 2         | 2020-01-10                    | 2020-12-31
        3                     | 3         | 2020-01-10                    | 2020-12-31
        4                     | 4         | 2020-01-10                    | 2020-12-31
    """,
    "measurement": """
        measurement_id | person_id | measurement_concept_id | measurement_date | value_as_number | value_as_concept_id | value_source_value
        1              | 1         | 30                     | 2020-01-01       | 1.0             |                     | low
        2              | 1         | 30                     | 2020-01-10       | 2.0             |                     | mid
        3              | 1         | 30                     | 2020-01-10       | 3.0             | 45                  |
        4              | 1         | 30                     | 2020-01-11       | 9.0             |                     | late
        5              | 2         | 30                     | 2020-01-05       |                 | 0                   |
        6              | 3         | 30                     | 2020-01-05       | 5.0             | 46                  | odd
    """,  # noqa: E501
    "trial_subject": """
        trial_subject_id | person_id | trial_code | arm_code | start_date
        1                | 1         | T1         | X        | 2020-01-10
        2                | 2         | T1         | Q        | 2020-01-10
        3                | 3         | T2         | X        | 2020-01-10
    """,
}


def by(ask, definition, **rest) -> dict[str, int]:
    variable = {"name": "v", "definition": definition, **rest}
    table = ask(PEOPLE, {"method": "count", "by": [variable]}).by
    return {levels[0]: persons for levels, persons in table.persons.items()}


def value(**rest) -> dict:
    return {"domain": "measurement", "codes": {"concept_ids": [30]}, **rest}


LEVELS = [{"label": "low", "values": ["low"]}, {"label": "high", "values": ["45", "mid"]}]


def number(ask, **rest) -> tuple[int, float]:
    variable = {"name": "v", "definition": {"kind": "number", **value(**rest)}}
    group = ask(PEOPLE, {"method": "table1", "variables": [variable]}).summaries[0].groups[0]
    return group.n, group.mean


def test_sex_has_its_levels_then_other_then_missing(ask):
    assert list(by(ask, {"kind": "demographic", "field": "sex"}).items()) == [
        ("female", 1),
        ("male", 1),
        ("other", 1),
        ("missing", 1),
    ]


def test_an_unlisted_race_is_other_and_no_matching_concept_is_missing(ask):
    found = by(ask, {"kind": "demographic", "field": "race"})
    assert (found["white"], found["asian"], found["other"], found["missing"]) == (1, 1, 1, 1)


def test_age_is_the_year_of_the_index_less_the_year_of_birth_in_declared_bins(ask):
    assert by(ask, {"kind": "demographic", "field": "age"}, edges=[50, 60.5]) == {
        "< 50": 0,
        "[50, 60.5)": 2,
        ">= 60.5": 1,
        "other": 0,
        "missing": 1,
    }


def test_a_bin_holds_its_lower_edge_and_not_its_upper_one(ask):
    found = by(ask, {"kind": "demographic", "field": "age"}, edges=[50, 60])
    assert (found["[50, 60)"], found[">= 60"]) == (1, 2)


def test_a_number_without_bins_is_no_category(ask):
    with pytest.raises(EngineError) as caught:
        by(ask, {"kind": "demographic", "field": "age"})
    assert caught.value.code == "engine.edges"


def test_the_latest_record_up_to_the_index_counts_and_of_one_day_the_highest_key(ask):
    assert number(ask, window={"end": 0}) == (2, (3.0 + 5.0) / 2)


def test_the_first_record_counts_when_asked(ask):
    assert number(ask, window={"end": 0}, take="first") == (2, (1.0 + 5.0) / 2)


def test_of_one_day_the_first_record_is_that_with_the_lowest_key(ask):
    assert number(ask, window={"start": 0, "end": 0}, take="first") == (1, 2.0)


def test_both_ends_of_a_window_belong_to_it(ask):
    assert number(ask, window={"start": -9, "end": -9}) == (1, 1.0)
    assert number(ask, window={"start": 1, "end": 1}) == (1, 9.0)


def test_a_window_without_ends_takes_every_record(ask):
    assert number(ask, window={"start": None, "end": None}) == (2, 7.0)


def test_a_coded_value_is_found_by_its_concept_or_by_its_text(ask):
    definition = {"kind": "category", "levels": LEVELS, **value(window={"end": 0})}
    assert by(ask, definition) == {"low": 0, "high": 1, "other": 1, "missing": 2}


def test_a_record_with_neither_text_nor_concept_has_no_value(ask):
    definition = {"kind": "category", "levels": LEVELS, **value(window={"end": 0}, take="first")}
    assert by(ask, definition) == {"low": 1, "high": 0, "other": 1, "missing": 2}


def test_presence_is_yes_or_no_and_never_missing(ask):
    definition = {"kind": "presence", **value(window={"start": 1, "end": 30})}
    assert by(ask, definition) == {"yes": 1, "no": 3}


def test_an_arm_is_of_the_trial_asked_for(ask):
    levels = [{"label": "treated", "values": ["X"]}]
    found = by(ask, {"kind": "trial_arm", "trial": "T1", "levels": levels})
    assert found == {"treated": 1, "other": 1, "missing": 2}


def test_a_table_lists_every_combination_zeros_too(ask):
    sex = {"name": "sex", "definition": {"kind": "demographic", "field": "sex"}}
    presence = {"name": "late", "definition": {"kind": "presence", **value(window={"start": 1, "end": 1})}}
    answer = ask(PEOPLE, {"method": "crosstab", "variables": [sex, presence]})
    assert answer.table.persons == {
        ("female", "yes"): 1,
        ("female", "no"): 0,
        ("male", "yes"): 0,
        ("male", "no"): 1,
        ("other", "yes"): 0,
        ("other", "no"): 1,
        ("missing", "yes"): 0,
        ("missing", "no"): 1,
    }


def test_a_mean_comes_with_its_exact_sum_of_squares_and_its_two_largest(ask):
    variable = {"name": "v", "definition": {"kind": "number", **value()}, "edges": [3, 5], "unit": "mg"}
    summary = ask(PEOPLE, {"method": "table1", "variables": [variable]}).summaries[0]
    group = summary.groups[0]
    assert (summary.unit, group.group, group.persons, group.n) == ("mg", "*", 4, 2)
    assert (group.mean, group.m2, group.absolute_sum, group.largest) == (4.0, 2.0, 8.0, (5.0, 3.0))
    assert [(part.low, part.high, part.persons) for part in group.bins] == [
        (None, 3.0, 0),
        (3.0, 5.0, 1),
        (5.0, None, 1),
    ]
